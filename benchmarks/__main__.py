"""Runs benchmarks: `python -m benchmarks [NAME …] [--rounds 5] [--small] [--json FILE] [--page FILE]`.

Without a name it runs all that this machine can run, one after another. `--json` appends a line for each to a file.
`--page` writes docs/performance.md and its plot from such a file; with names, after running them.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from benchmarks import frame
from benchmarks.suite import Size

SUITE: Final = {
    "decode": "records:decode_benchmark",
    "aligner": "records:aligner_benchmark",
    "decode-aligner": "records:decode_aligner_benchmark",
    "intake": "intake:intake_benchmark",
    "intake-small": "intake:intake_small_benchmark",
    "road": "road:road_benchmark",
    "road-servers": "road:road_servers_benchmark",
    "streams": "live:streams_benchmark",
    "latency": "live:latency_benchmark",
    "model": "models:model_benchmark",
    "pipeline": "models:pipeline_benchmark",
    "threads": "models:threads_benchmark",
    "produce": "produce:produce_benchmark",
    "produce-1080p": "produce:produce_1080p_benchmark",
    "produce-mjpeg": "produce:produce_mjpeg_benchmark",
    "start": "start:start_benchmark",
    "start-worker": "start:start_worker_benchmark",
    "peers": "peers:peers_benchmark",  # the last two, because they install packages
    "peers-kafka": "peers:peers_kafka_benchmark",
}


def benchmark(name: str, size: Size) -> frame.Benchmark:
    """Return a benchmark of the suite, with its data."""
    module, _, function = SUITE[name].partition(":")
    made = getattr(import_module(f"benchmarks.suite.{module}"), function)(size)
    assert isinstance(made, frame.Benchmark)  # noqa: S101 - as the table says
    return made


def main(args: Sequence[str]) -> None:
    """Run what the arguments say."""
    program = os.environ.get("TRIPTYCH_BENCH_PROGRAM", "python -m benchmarks")
    parser = argparse.ArgumentParser(prog=program, description="Measure, each beside its limit.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(SUITE)}; default: all")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that are counted")
    parser.add_argument("--small", action="store_true", help="a small amount of work, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append the figures, one line for each benchmark")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the page from the figures in --json")
    given = parser.parse_args(args)
    unknown = sorted(set(given.names) - set(SUITE))
    if unknown:
        parser.exit(2, f"{program}: expected names of {', '.join(SUITE)}, got {', '.join(unknown)}\n")
    if given.page is not None and given.json is None:
        parser.error("--page needs --json FILE")
    names = given.names or ([] if given.page is not None and given.json.exists() else list(SUITE))
    if names and given.json is not None:
        try:  # before anything is measured
            given.json.parent.mkdir(parents=True, exist_ok=True)
            given.json.open("a", encoding="utf-8").close()
        except OSError as error:
            parser.exit(
                2, f"{program}: --json: expected a file that can be written, got {given.json}: {error.strerror}\n"
            )
    for name in names:
        report = frame.run(benchmark(name, Size(is_small=given.small)), given.rounds, warm_up=not given.small)
        sys.stdout.write(f"{frame.table(report)}\n\n")
        sys.stdout.flush()
        if given.json is not None:
            with given.json.open("a", encoding="utf-8") as file:
                file.write(f"{report.to_json()}\n")
    if given.page is not None:
        from benchmarks.page import write_page  # noqa: PLC0415 - imports matplotlib

        write_page(given.json, given.page)


if __name__ == "__main__":
    main(sys.argv[1:])
