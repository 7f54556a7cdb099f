"""What must survive: a killed worker, lack of memory, outages of Kafka and Redis, a restart of the engine, a stop."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from tests.containers.engine import REPOSITORY, CheckFailedError, Engine, expect, require, wait_until
from tests.containers.serving import SERVICES

FAILOVER_S: Final = 15.0
"""How soon results go on after a worker was killed."""
_RECENT: Final = 3
"""So many further results show that a pipeline goes on."""
_WORKERS: Final = 3
_OUTAGE_S: Final = 3
_HOG: Final = """
import pathlib
pathlib.Path("/proc/1/oom_score_adj").write_text("1000")  # the kernel shall choose the worker, not this program
held = []
while True:
    held.append(bytearray(b"x") * 2**25)
"""
"""Takes memory in 32 MiB steps until the container's limit is reached."""


def scale(engine: Engine) -> str:
    """Three workers; the one that has the stream is killed, and the others go on."""
    engine.compose("up", "-d", "--no-build", "--scale", f"worker={_WORKERS}")
    engine.wait_healthy("worker", workers=_WORKERS)
    owner = engine.publishing_worker()
    before = engine.count()
    engine.docker("kill", owner)
    took_s = engine.wait_for_results(before, "a kill", limit_s=60)
    engine.wait_for_results(before + _RECENT, "a kill", limit_s=60)
    require(took_s <= FAILOVER_S, f"results went on after {took_s:.1f} s, at most {FAILOVER_S:g} s")
    none_lost_or_twice(engine.results())
    return f"results went on after {took_s:.1f} s, none lost or twice"


def out_of_memory(engine: Engine) -> str:
    """The kernel kills a worker whose container reaches its limit. It comes back by itself, and loses nothing."""
    owner = engine.publishing_worker()
    restarts = engine.inspect(owner)["RestartCount"]
    before = engine.count()
    subprocess.run(["docker", "exec", owner, "python", "-c", _HOG], capture_output=True, check=False, timeout=120)
    wait_until(
        lambda: engine.inspect(owner)["RestartCount"] > restarts, "a restart after the kernel's kill", limit_s=60
    )
    killed = engine.docker(
        "events", "--since", "5m", "--until", "0s", "--filter", f"container={owner}", "--filter", "event=oom"
    )
    require(killed.strip(), "an event `oom` of the engine")
    took_s = engine.wait_for_results(before + _RECENT, "the kernel's kill")
    engine.wait_healthy("worker", workers=_WORKERS - 1)  # one was killed for good by `scale`
    none_lost_or_twice(engine.results())
    return f"results went on after {took_s:.0f} s, none lost or twice"


def outage(engine: Engine) -> str:
    """Broker and Redis are killed and started again: results go on, and what they held is there."""
    told = []
    for service in ("kafka", "redis"):
        before = engine.count()
        engine.docker("kill", str(engine.containers(service)[0]["Id"]))
        time.sleep(_OUTAGE_S)
        engine.compose("start", service)
        took_s = engine.wait_for_results(before + _RECENT, f"{service} was killed")
        told.append(f"{service} {took_s:.0f} s")
    none_lost_or_twice(engine.results())
    return f"results went on: {', '.join(told)}; none lost or twice"


def restart(engine: Engine, command: str) -> str:
    """The engine is stopped and started: the services come back by themselves, and what they held is there."""
    before = engine.results()
    start_s = time.monotonic()
    done = subprocess.run(command, shell=True, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=240)  # noqa: S602 - a command line of whoever runs the checks
    if done.returncode:
        raise CheckFailedError(f"{command}: exit code {done.returncode}: {done.stderr[-600:]}")
    wait_until(engine.answers, "the engine answers")
    engine.wait_healthy(*SERVICES, workers=_WORKERS - 1)
    engine.wait_for_results(len(before) + _RECENT, "the engine's restart")
    results = engine.results()
    lost = {one["start_ns"] for one in before} - {one["start_ns"] for one in results}
    expect(lost, set(), "windows of before that are gone")
    none_lost_or_twice(results)
    return f"all healthy and results after {time.monotonic() - start_s:.0f} s, earlier ones kept, none lost or twice"


def stop(engine: Engine) -> str:
    """All end within their grace periods, ours with exit code 0, those of others by no kill."""
    ids = {service: [str(container["Id"]) for container in engine.running(service)] for service in SERVICES}
    start_s = time.monotonic()
    engine.compose("stop")
    took_s = time.monotonic() - start_s
    for service, containers in ids.items():
        require(containers, f"{service} was running")
        for container in containers:
            code = engine.inspect(container)["State"]["ExitCode"]
            if service in {"worker", "producer"}:
                expect(code, 0, f"{service}: exit code")
            require(code != _KILLED, f"{service}: an orderly end")
    return f"after {took_s:.0f} s"


_KILLED: Final = 137


def none_lost_or_twice(results: Sequence[dict[str, Any]]) -> None:
    """Each window has one result, and the windows follow one another but for those that the worker says it skipped.

    A window that was published again, as a revision, is read at the place of the revision: the order is restored first.
    """
    ordered = sorted(results, key=lambda result: int(result["start_ns"]))
    starts = [result["start_ns"] for result in ordered]
    expect(len(set(starts)), len(starts), "windows")
    hop_ns = min(second - first for first, second in pairwise(starts))
    for previous, result in pairwise(ordered):
        expected = previous["start_ns"] + hop_ns * (1 + result.get("skipped", 0))
        expect(result["start_ns"], expected, f"start of the window after {previous['start_ns']}")
