"""The start of programs: `start`, and of a worker until it reads: `start-worker`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from tempfile import TemporaryFile
from typing import IO, Final

from benchmarks.frame import Benchmark, Cost, whole_process
from benchmarks.suite import Size
from triptych.service.probe import HealthEndpoint, why_not_ready
from triptych.settings.loading import load
from triptych.transport.open import open_transport
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics

_IMPORT_TORCH: Final = ("-c", "import torch")
_PROGRAMS: Final = {
    "python -c pass": ("-c", "pass"),
    "triptych --help": ("-m", "triptych", "--help"),
    "import Subscriber": ("-c", "from triptych.consumers import Subscriber"),
    "import the worker, without PyTorch": ("-c", "import triptych.worker.run"),
    "import torch": _IMPORT_TORCH,
}


_MODELS: Final = {"triptych work": "base", "triptych work --model null": "null"}
_LIMIT_S: Final = 120.0
_POLL_S: Final = 0.02


def start_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of imports: each is a process of its own."""
    programs = dict(list(_PROGRAMS.items())[: size(len(_PROGRAMS), 2)])
    return Benchmark(
        "start",
        "How long do programs take to start?",
        "start",
        {name: lambda args=args: whole_process([sys.executable, *args]) for name, args in programs.items()},
        limit="python -c pass",
        ours="triptych --help",
        cpu_goals_us={"triptych --help": 250_000},
    )


def start_worker_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of a worker's start, on a real Kafka and Redis: until `/readyz` says that it reads."""
    models = dict(list(_MODELS.items())[: size(len(_MODELS), 1)])
    return Benchmark(
        "start-worker",
        "How soon does a worker read, after its process has started?",
        "start",
        {
            "import torch": lambda: whole_process([sys.executable, *_IMPORT_TORCH]),
            **{name: lambda model=model: _until_ready(model) for name, model in models.items()},
        },
        limit="import torch",
        ours="triptych work",
        note="`beyond_torch_s` is the time on the clock until `/readyz` answers that the worker reads, less that of "
        "`import torch` directly before. CPU time and peak are those of the process until it is ended after that.",
        value_goals={"beyond_torch_s": 3},
    )


def _until_ready(model: str) -> Cost:
    """Start a worker with its servers, and return what it cost until it was ready."""
    from tools.devservers import DevKafka, DevRedis  # noqa: PLC0415 - only where servers are
    from tools.devservers.ports import free_ports  # noqa: PLC0415 - as above

    torch_s = whole_process([sys.executable, *_IMPORT_TORCH]).wall_s
    with ExitStack() as stack:
        broker, redis = stack.enter_context(DevKafka()), stack.enter_context(DevRedis())
        [port] = free_ports(1)
        variables = {
            "TRIPTYCH_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "TRIPTYCH_REDIS_URL": redis.url,
            "TRIPTYCH_MODEL_NAME": model,
            "TRIPTYCH_HTTP_PORT": str(port),
        }
        settings = load(environ=variables)
        with closing(open_transport(settings.kafka)) as transport, closing(transport.admin()) as admin:
            create_topics(
                admin, settings.pipeline, TopicSettings("", 6, max_record_bytes=settings.kafka.max_record_bytes)
            )
        started_s = time.perf_counter()
        log = stack.enter_context(TemporaryFile())
        process = subprocess.Popen(
            [sys.executable, "-m", "triptych", "work"], stdout=log, stderr=log, env={**os.environ, **variables}
        )
        try:
            ready_s = _wait_until_ready(process, HealthEndpoint("127.0.0.1", port, None), log) - started_s
        finally:
            os.kill(process.pid, signal.SIGTERM)  # `terminate` might take its exit code before `wait4` does
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(
        1,
        cpu_s=used.ru_utime + used.ru_stime,
        wall_s=ready_s,
        page_faults=used.ru_minflt,
        peak_bytes=used.ru_maxrss * 1024,
        values={"beyond_torch_s": ready_s - torch_s},
    )


def _wait_until_ready(process: subprocess.Popen[bytes], endpoint: HealthEndpoint, log: IO[bytes]) -> float:
    """Block until a worker is ready, and return the time. Raises `RuntimeError` if it ends, or takes too long."""
    limit_s = time.perf_counter() + _LIMIT_S
    while (reason := why_not_ready(endpoint)) is not None:
        ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is not None or time.perf_counter() > limit_s:
            log.seek(0)
            raise RuntimeError(f"start-worker: the worker is not ready: {reason}; its log:\n{log.read().decode()}")
        time.sleep(_POLL_S)
    return time.perf_counter()
