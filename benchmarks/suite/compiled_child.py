"""A process that measures the compiled aligner: `python -m benchmarks.suite.compiled_child STREAMS SECONDS`."""

from __future__ import annotations

import sys

from benchmarks.alignment import aligned, log
from benchmarks.frame import measured, print_cost
from triptych.worker.alignment import aligner
from triptych.worker.alignment.entry import Entry


def main(streams: int, seconds: int) -> None:
    """Measure, and print the cost. Raise `RuntimeError` if the aligner is not compiled."""
    if not str(aligner.__file__).endswith(".so"):
        raise RuntimeError(f"expected a compiled aligner, got {aligner.__file__}")
    entries = log(streams, seconds)
    late: list[Entry] = []
    windows = 0

    def work() -> float:
        nonlocal windows
        late.clear()
        windows = aligned(entries, late)
        return len(entries)

    work()
    print_cost(measured(work, lambda: {"late_percent": 100 * len(late) / len(entries), "windows": windows}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
