"""What traces cost a worker: `python -m benchmarks.tracing [--rounds 7]`.

The same worker as in the benchmark `road`, on topics and a store in memory and without a model, so that a window is as
cheap as it can be and the share of its trace as large. All contenders of a round run after one another, and ratios of
CPU time are taken within a round. The CPU time is that of all threads of the worker, the exporter's included; the
collector is a process of its own that accepts everything.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from benchmarks.frame import Cost, measured
from benchmarks.suite.road import short_films
from tests.worker.world import World
from triptych.schemas.codec import encode
from triptych.schemas.names import TOPIC_OF
from triptych.schemas.records import InputRecord
from triptych.schemas.tracing.trace_context import TRACEPARENT_HEADER, TraceSampler, record_context
from triptych.service.health import Health
from triptych.service.tracing.exporter import open_exporter
from triptych.settings.loading import load
from triptych.transport.records import Message
from triptych.worker.observability.hooks import Hook
from triptych.worker.observability.metrics import Metrics
from triptych.worker.observability.traces import TraceHook
from triptych.worker.run import WholeLog
from triptych.worker.wiring import Dependencies, open_pipeline

RATIOS: Final = (0.0, 0.01, 1.0)
_COLLECTOR: Final = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Accepting(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_): pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Accepting)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@contextmanager
def _collector() -> Iterator[str]:
    """Run a collector in another process, and yield its URL."""
    command = [sys.executable, "-c", _COLLECTOR]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own program
        try:
            port = int(process.stdout.readline()) if process.stdout is not None else 0
            yield f"http://127.0.0.1:{port}/v1/traces"
        finally:
            process.terminate()


def _traced(films: Sequence[Sequence[InputRecord]], endpoint: str, ratio: float) -> tuple[Cost, int]:
    """Run a worker over films, whose records are traced as a producer does. Return the cost, and the spans made."""
    world = World()
    world.settings = load(
        overrides={"model.name": "null", "trace.endpoint": endpoint, "trace.sample_ratio": ratio}, environ={}
    )
    sampler, publisher = TraceSampler(ratio), world.transport.publisher()
    for record in (record for turn in zip(*films, strict=True) for record in turn):
        wire = encode(record)
        context = record_context(record.stream, record.id) if sampler.samples(record.stream, record.start_ns) else None
        headers = wire.headers if context is None else (*wire.headers, (TRACEPARENT_HEADER, context.traceparent))
        publisher.send(Message(TOPIC_OF[record.modality], wire.key, wire.value, headers))
    publisher.close(60)
    with ExitStack() as stack:
        hooks: list[Hook] = [Metrics()]
        exporter = stack.enter_context(open_exporter(world.settings.trace, "triptych-worker"))
        if exporter is not None:
            hooks.append(TraceHook(exporter, world.settings.pipeline))
        dependencies = Dependencies(world.transport, world.store, hooks, Health())
        pipeline = stack.enter_context(open_pipeline(world.settings, dependencies, WholeLog.of(world.settings)))

        def work() -> float:
            pipeline.run(threading.Event(), until_end=lambda: True)
            if exporter is not None:
                exporter.close()
            return float(len(films))

        cost = measured(work)
        return cost, 0 if exporter is None else exporter.counts.exported


def main(rounds: int, streams: int, windows: int) -> None:
    """Print the CPU time of a window without and with traces, and the ratios."""
    films = short_films(streams=streams, windows=windows)
    costs: dict[float, list[float]] = {ratio: [] for ratio in RATIOS}
    spans: dict[float, int] = {}
    with _collector() as endpoint:
        for number in range(rounds + 1):  # the first is a warm-up
            for ratio in RATIOS:
                cost, spans[ratio] = _traced(films, endpoint, ratio)
                if number:
                    costs[ratio].append(cost.cpu_s)
    count = streams * windows
    for ratio in RATIOS:
        each = [1e3 * cpu_s / count for cpu_s in costs[ratio]]
        ratios = [own / base for own, base in zip(costs[ratio], costs[0.0], strict=True)]
        sys.stdout.write(
            f"{ratio:>5.0%} sampled  {statistics.median(each):6.3f} ms of CPU a window "
            f"({min(each):.3f} to {max(each):.3f})  "
            f"ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})  {spans[ratio]} spans\n"
        )
    extra = statistics.median(own - base for own, base in zip(costs[1.0], costs[0.0], strict=True)) / count
    base = statistics.median(costs[0.0]) / count
    sys.stdout.write(
        f"a traced window costs {1e3 * extra:.3f} ms more: with one in a hundred {extra / base / 100:.2%} of CPU "
        f"({count} windows, {rounds} rounds)\n"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracing", description="Measure what traces cost.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--windows", type=int, default=15)
    given = parser.parse_args()
    main(given.rounds, given.streams, given.windows)
