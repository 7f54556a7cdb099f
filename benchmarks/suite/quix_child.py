"""Windows of events in Quix Streams: run by its own Python on a topic of events. It imports nothing of ours.

Prints its cost as JSON, with the share of events that came too late for their window.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time

from quixstreams import Application  # type: ignore[import-not-found]

_IDLE_LIMIT_S = 60.0


def main(servers: str, topic_name: str, events: int, window_s: float, wait_s: float) -> None:
    """Window the events of a topic, which are JSON with their event time as the timestamp of the message."""
    late: list[object] = []
    windows: list[object] = []

    def count_late(*_: object) -> bool:
        late.append(None)
        return False  # no line for each in the log

    with tempfile.TemporaryDirectory() as state:
        app = Application(
            broker_address=servers,
            consumer_group=f"peers-{time.time_ns()}",
            auto_offset_reset="earliest",
            state_dir=state,
            use_changelog_topics=False,
            auto_create_topics=False,
            loglevel="WARNING",
        )
        frame = app.dataframe(app.topic(topic_name, value_deserializer="json"))
        window = frame.tumbling_window(round(window_s * 1_000), grace_ms=round(wait_s * 1_000), on_late=count_late)
        window.collect().final().update(windows.append)
        before, wall_s = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        app.run(count=events, timeout=_IDLE_LIMIT_S, collect=False)
        wall_s, after = time.perf_counter() - wall_s, resource.getrusage(resource.RUSAGE_SELF)
    cost = {
        "units": events,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "wall_s": wall_s,
        "page_faults": after.ru_minflt - before.ru_minflt,
        "peak_bytes": after.ru_maxrss * 1024,
        "values": {"late_percent": 100 * len(late) / events, "windows": len(windows)},
    }
    sys.stdout.write(f"{json.dumps(cost)}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5]))
