"""The servers and the worker of a measurement. Everything is removed at the end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.bounds.watch import Watch
from tests.e2e.programs import Installation, Program
from tools.devservers import DevKafka, DevRedis
from tools.devservers.ports import free_ports
from triptych.transport.protocols import Publisher


@dataclass(frozen=True, slots=True)
class BenchmarkServers:
    """Running servers, and the programs to start on them."""

    installation: Installation

    @contextmanager
    def publisher(self) -> Iterator[Publisher]:
        """Open a publisher. On exit all messages are acknowledged."""
        with closing(self.installation.transport()) as transport:
            publisher = transport.publisher()
            yield publisher
            publisher.close(600)

    @contextmanager
    def worker(self, **settings: str) -> Iterator[tuple[Program, Watch]]:
        """Run a worker, with a watch on it."""
        [port] = free_ports(1)
        with self.installation.running("work", TRIPTYCH_HTTP_PORT=str(port), **settings) as program:
            program.wait_for("partitions_assigned", limit_s=300)
            with Watch(program.process.pid, port, self.installation.redis_url) as watch:
                yield program, watch


IDLE_TIMEOUT_MS: Final = 120_000
"""Idle timeout of the worker. On a busy machine the process that sends the feeds may be suspended for some time."""


@contextmanager
def open_servers(model: str, settings: Mapping[str, str]) -> Iterator[BenchmarkServers]:
    """Start a broker and Redis, and create the topics. Remove everything at the end."""
    folder = Path(tempfile.mkdtemp(prefix="triptych-bounds-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        kafka, server = stack.enter_context(DevKafka()), stack.enter_context(DevRedis())
        variables = {"TRIPTYCH_MODEL_NAME": model, "TRIPTYCH_ALIGN_IDLE_TIMEOUT_MS": str(IDLE_TIMEOUT_MS), **settings}
        installation = Installation(kafka.bootstrap_servers, server.url, "bounds", folder, variables)
        installation.make_topics()
        yield BenchmarkServers(installation)
