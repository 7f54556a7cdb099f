"""`python -m benchmarks.gpu [--limit 480]`: the parts of the GPU's path, each against the CPU, in ten minutes.

The exit code is 1 if a part is wrong. Without a GPU it says so, and ends with 0: nothing was found to be wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

LIMIT_S: Final = 480.0


def main(args: Sequence[str]) -> int:
    """Run the parts, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="Check a GPU against the CPU.")
    parser.add_argument("--limit", type=float, default=LIMIT_S, metavar="S", help="start no part after this time")
    given = parser.parse_args(args)
    import torch  # noqa: PLC0415 - --help needs none of it

    from triptych.models.execution.device import why_no_gpu  # noqa: PLC0415

    if reason := why_no_gpu():
        sys.stdout.write(f"Nothing was measured: {reason}.\n")
        return 0
    from benchmarks.gpu import parts  # noqa: PLC0415
    from benchmarks.gpu.report import run_parts  # noqa: PLC0415

    device = "cuda"
    properties = torch.cuda.get_device_properties(device)
    memory_gb = properties.total_memory / 1e9
    sys.stdout.write(f"{properties.name}, {memory_gb:.0f} GB; PyTorch {torch.__version__}\n\n")
    every = {
        "copies": parts.copies,
        "precision": parts.precision,
        "graphs": parts.graphs,
        "jpeg": parts.jpeg_decoding,
        "out of memory": parts.out_of_memory,
    }
    reports = run_parts(
        {name: partial(part, device) for name, part in every.items()},
        given.limit,
        time.monotonic,
        _say,
    )
    wrong = [report.name for report in reports if not report.is_right]
    sys.stdout.write(f"\n{len(reports) - len(wrong)} of {len(reports)} parts are right\n")
    return 1 if wrong else 0


def _say(lines: str) -> None:
    sys.stdout.write(f"{lines}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
