"""A process that measures the compiled aligner: `python -m benchmarks.suite.compiled_child RECORDS` (`records.py`)."""

from __future__ import annotations

import sys

from benchmarks.alignment import aligned, log
from benchmarks.frame import measured, print_cost
from triptych.worker.alignment import aligner

_STREAMS = 100


def main(records: int) -> None:
    """Measure, and print the cost. Raise `RuntimeError` if the aligner is not compiled."""
    if not str(aligner.__file__).endswith(".so"):
        raise RuntimeError(f"expected a compiled aligner, got {aligner.__file__}")
    entries = log(_STREAMS, max(2, records // _STREAMS // 6))

    def work() -> float:
        aligned(entries)
        return len(entries)

    work()
    print_cost(measured(work))


if __name__ == "__main__":
    main(int(sys.argv[1]))
