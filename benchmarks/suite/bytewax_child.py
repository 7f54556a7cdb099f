"""Windows of events in Bytewax: run by its own Python with a file of events. It imports nothing of ours.

Prints its cost as JSON, with the share of events that came too late for their window.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bytewax.operators as op  # type: ignore[import-not-found]
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]
from bytewax.operators.windowing import EventClock, TumblingWindower, collect_window  # type: ignore[import-not-found]
from bytewax.testing import TestingSink, TestingSource, run_main  # type: ignore[import-not-found]

_POLL = 500


def main(path: str, window_s: float, wait_s: float) -> None:
    """Window the events of a file, a line `[stream, start in seconds]` each, in the order of arrival."""
    lines = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    events = [(stream, datetime.fromtimestamp(start_s, UTC)) for stream, start_s in lines]
    clock = EventClock(ts_getter=lambda at: at, wait_for_system_duration=timedelta(seconds=wait_s))
    windower = TumblingWindower(length=timedelta(seconds=window_s), align_to=datetime(2026, 1, 1, tzinfo=UTC))
    flow = Dataflow("peers")
    windows: list[object] = []
    late: list[object] = []
    out = collect_window("windows", op.input("events", flow, TestingSource(events, batch_size=_POLL)), clock, windower)
    op.output("down", out.down, TestingSink(windows))
    op.output("late", out.late, TestingSink(late))
    before, wall_s = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    run_main(flow)
    wall_s, after = time.perf_counter() - wall_s, resource.getrusage(resource.RUSAGE_SELF)
    cost = {
        "units": len(events),
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "wall_s": wall_s,
        "page_faults": after.ru_minflt - before.ru_minflt,
        "peak_bytes": after.ru_maxrss * 1024,
        "values": {"late_percent": 100 * len(late) / len(events), "windows": len(windows)},
    }
    sys.stdout.write(f"{json.dumps(cost)}\n")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
