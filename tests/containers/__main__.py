"""Build the images and run the Compose file with a real container engine: `make test-containers`.

    python -m tests.containers [--build-network host] [--no-build] [--keep]

It uses whichever engine `docker` reaches (DOCKER_HOST), and Docker Compose as `docker compose` or `docker-compose`. The
ports of the Compose file must be free. Where no engine answers it says so and ends with exit code 0. Each line of the
report is a check; the exit code is 1 if one has failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).parents[2]
VERSION: Final = "0.1.0"
TARGETS: Final = ("consumer", "producer", "models", "worker")
LIMIT_S: Final = 240.0
FAILOVER_S: Final = 15.0
"""How soon results go on after a worker was killed."""
USER: Final = "10001"


class CheckFailedError(Exception):
    """A check did not find what it expected."""


class Engine:
    """The engine's command line, and Compose with a project of its own."""

    def __init__(self) -> None:
        """Find Compose."""
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
        self._compose = ["docker", "compose"] if plugin else ["docker-compose"]
        self._compose += ["--project-name", "triptych-test"]

    def docker(self, *args: str, limit_s: float = LIMIT_S) -> str:
        """Run a command of the engine and return what it prints."""
        return _run(["docker", *args], limit_s)

    def compose(self, *args: str, limit_s: float = LIMIT_S) -> str:
        """Run a command of Compose and return what it prints."""
        return _run([*self._compose, *args], limit_s)

    def containers(self, service: str) -> list[dict[str, Any]]:
        """Return what the engine knows about the containers of a service."""
        ids = self.compose("ps", "-q", service).split()
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", *ids)) if ids else []
        return sorted(found, key=lambda container: str(container["Name"]))

    def are_healthy(self, service: str, count: int = 1) -> bool:
        """Tell whether so many containers of a service run and pass their health check."""
        states = [container["State"] for container in self.containers(service)]
        return sum(s["Running"] and s.get("Health", {}).get("Status") == "healthy" for s in states) == count

    def results(self) -> list[dict[str, Any]]:
        """Return all results that are kept, read as a user reads them."""
        lines = self.compose("run", "--rm", "-T", "worker", "watch", "--json", "--until-end").splitlines()
        return [json.loads(line) for line in lines if line.startswith('{"schema_version')]

    def count(self) -> int:
        """Return the number of results that are kept, at once."""
        return int(self.compose("exec", "-T", "redis", "redis-cli", "xlen", "triptych:results:{city}").strip() or 0)


def _run(command: Sequence[str], limit_s: float) -> str:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=limit_s, check=False)
    if done.returncode:
        raise CheckFailedError(
            f"{' '.join(command)}: exit code {done.returncode}: {(done.stderr or done.stdout)[-600:]}"
        )
    return done.stdout


def wait_until(condition: Callable[[], bool], what: str, *, limit_s: float = LIMIT_S) -> float:
    """Wait, and return how long it took."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > limit_s:
            raise CheckFailedError(f"{what}: not within {limit_s:g} s")
        time.sleep(0.5)
    return time.monotonic() - start


def expect(value: object, expected: object, what: str) -> None:
    """Compare two values."""
    if value != expected:
        raise CheckFailedError(f"{what}: expected {expected!r}, got {value!r}")


def require(condition: object, what: str) -> None:
    """Fail if a condition does not hold."""
    if not condition:
        raise CheckFailedError(f"{what}: expected so, it is not")


def build(engine: Engine, network: str | None) -> str:
    """Build all targets that the Compose file uses."""
    told = []
    for target in TARGETS:
        start = time.monotonic()
        options = [] if network is None else ["--network", network]
        tag = f"triptych-{target}:{VERSION}"
        engine.docker("build", *options, "--target", target, "--tag", tag, ".", limit_s=1_200)
        size = int(engine.docker("image", "inspect", "--format", "{{.Size}}", tag))
        told.append(f"{target} {size / 1e6:.0f} MB in {time.monotonic() - start:.0f} s")
    return ", ".join(told)


def start(engine: Engine) -> str:
    """Start the Compose file as it stands, and wait until all services are healthy."""
    engine.compose("up", "-d", "--no-build")
    return ", ".join(
        f"{name} healthy after {wait_until(lambda name=name: engine.are_healthy(name), name):.0f} s more"  # type: ignore[misc]
        for name in ("kafka", "redis", "worker", "producer")
    )


def watch(engine: Engine) -> str:
    """Read results of the sample clip by `docker compose run --rm worker watch`."""
    wait_until(lambda: engine.count() > 2, "results")
    results = engine.results()
    expect({result["stream"] for result in results}, {"city"}, "streams")
    require(results[-1]["observations"], "observations")
    return f"{len(results)} results"


def rights(engine: Engine) -> str:
    """No rights beyond what the programs need."""
    for service in ("worker", "producer"):
        (container,) = engine.containers(service)
        host, name = container["HostConfig"], str(container["Id"])
        require(host["ReadonlyRootfs"], f"{service}: read-only file system")
        expect([capability.upper() for capability in host["CapDrop"]], ["ALL"], f"{service}: dropped capabilities")
        require(host["Memory"] > 0, f"{service}: memory limit")
        status = engine.docker("exec", name, "cat", "/proc/1/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        expect(fields["Uid"].split()[0], USER, f"{service}: user")
        expect(int(fields["CapEff"], 16), 0, f"{service}: capabilities in effect")
        expect(fields["NoNewPrivs"], "1", f"{service}: no new privileges")
        program = "import pathlib; pathlib.Path('/opt/triptych/new').touch()"
        try:
            engine.docker("exec", name, "python", "-c", program)
        except CheckFailedError as error:
            require("Read-only file system" in str(error), f"{service}: a write fails")
        else:
            raise CheckFailedError(f"{service}: a file was written in the image")
    return "read-only, no capabilities, user 10001, memory limits"


def memory(engine: Engine) -> str:
    """The worker knows its limit."""
    logs = engine.compose("logs", "--no-color", "worker")
    line = next((line for line in logs.splitlines() if '"memory_limit"' in line), None)
    if line is None:
        raise CheckFailedError("worker: no log entry memory_limit")
    entry = json.loads(line[line.index("{") :])
    (container,) = engine.containers("worker")
    expect(entry["limit_mib"], container["HostConfig"]["Memory"] // 2**20, "the limit that the worker has read")
    return f"limit {entry['limit_mib']} MiB, used {entry['used_mib']}, for each partition {entry['partition_max_mib']}"


def ports(engine: Engine) -> str:
    """The metrics are reached at the published port, which may be any of the range."""
    for container in engine.containers("worker"):
        port = container["NetworkSettings"]["Ports"]["9464/tcp"][0]["HostPort"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            require(b"triptych_" in answer.read(), f"metrics at port {port}")
    return f"{len(engine.containers('worker'))} workers"


def healthcheck(engine: Engine) -> str:
    """The health check of the producer costs next to nothing."""
    (container,) = engine.containers("producer")
    program = (
        "import resource, subprocess, sys; subprocess.run([sys.executable, '-m', 'triptych.service.probe', "
        "'produce_http'], check=True); used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(used.ru_utime + used.ru_stime)"
    )
    used_s = float(engine.docker("exec", str(container["Id"]), "python", "-c", program))
    require(used_s < 0.3, f"CPU time of a check, {used_s:.2f} s, below 0.3 s")
    return f"{used_s * 1_000:.0f} ms of CPU"


def scale(engine: Engine) -> str:
    """Three workers; the one that has the stream is killed, and the others go on."""
    engine.compose("up", "-d", "--no-build", "--scale", "worker=3")
    wait_until(lambda: engine.are_healthy("worker", 3), "three workers are ready")
    owner = _owner(engine)
    before = engine.count()
    engine.docker("kill", owner)
    took_s = wait_until(lambda: engine.count() > before + 2, "results after a kill", limit_s=60)
    require(took_s <= FAILOVER_S, f"results went on after {took_s:.1f} s, at most {FAILOVER_S:g} s")
    none_lost_or_twice(engine.results())
    return f"results went on after {took_s:.1f} s, none lost or twice"


def _owner(engine: Engine) -> str:
    """Return the container of the worker whose counter of results grows."""

    def published(container: dict[str, Any]) -> float:
        port = container["NetworkSettings"]["Ports"]["9464/tcp"][0]["HostPort"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("triptych_results_total"))

    workers = engine.containers("worker")
    before = [published(worker) for worker in workers]
    grown: list[str] = []

    def has_grown() -> bool:
        grown[:] = [str(w["Id"]) for w, b in zip(workers, before, strict=True) if published(w) > b]
        return bool(grown)

    wait_until(has_grown, "a worker publishes", limit_s=60)
    return grown[0]


def none_lost_or_twice(results: Sequence[dict[str, Any]]) -> None:
    """Each window has one result, and the windows follow one another but for those that the worker says it skipped."""
    starts = [result["start_ns"] for result in results]
    expect(len(set(starts)), len(starts), "windows")
    hop_ns = min(second - first for first, second in pairwise(starts))
    for previous, result in pairwise(results):
        expected = previous["start_ns"] + hop_ns * (1 + result.get("skipped", 0))
        expect(result["start_ns"], expected, f"start of the window after {previous['start_ns']}")


def outage(engine: Engine) -> str:
    """Broker and Redis are killed and started again: results go on, and what they held is there."""
    told = []
    for service in ("kafka", "redis"):
        before = engine.count()
        engine.docker("kill", str(engine.containers(service)[0]["Id"]))
        time.sleep(3)  # how long the outage lasts
        engine.compose("start", service)
        took_s = wait_until(lambda before=before: _count(engine) > before + 2, f"results after {service} was killed")  # type: ignore[misc]
        told.append(f"{service} {took_s:.0f} s")
    none_lost_or_twice(engine.results())
    return f"results went on: {', '.join(told)}; none lost or twice"


def _count(engine: Engine) -> int:
    try:
        return engine.count()
    except (CheckFailedError, ValueError):  # Redis is not back yet
        return 0


def stop(engine: Engine) -> str:
    """All end within their grace periods, ours with exit code 0."""
    running = {str(c["Id"]) for s in ("worker", "producer") for c in engine.containers(s) if c["State"]["Running"]}
    start_s = time.monotonic()
    engine.compose("stop")
    took_s = time.monotonic() - start_s
    for container in json.loads(engine.docker("inspect", *running)):
        expect(container["State"]["ExitCode"], 0, f"{container['Name']}: exit code")
    return f"after {took_s:.0f} s"


CHECKS: Final = (start, watch, rights, memory, ports, healthcheck, scale, outage, stop)


def _why_no_engine() -> str | None:
    try:
        done = subprocess.run(["docker", "version"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "there is no program `docker`"
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["docker version failed"])[-1]


def _run_checks(engine: Engine, options: argparse.Namespace) -> int:
    failed = 0
    checks: list[Callable[[Engine], str]] = list(CHECKS)
    if options.build:
        checks.insert(0, lambda engine: build(engine, options.build_network))
    for check in checks:
        name = check.__name__.replace("<lambda>", "build")
        started = time.monotonic()
        try:
            line = f"ok      {name}: {check(engine)}"
        except (CheckFailedError, subprocess.TimeoutExpired) as error:
            failed += 1
            line = f"FAILED  {name}: {error}"
        sys.stdout.write(f"{line} [{time.monotonic() - started:.0f} s]\n")
        sys.stdout.flush()
    return failed


def main() -> int:
    """Run all checks and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.containers", description=__doc__)
    parser.add_argument("--build-network", help="network of the builds, for example host")
    parser.add_argument("--no-build", dest="build", action="store_false", help="use the images as they are")
    parser.add_argument("--keep", action="store_true", help="leave containers and volumes as they are at the end")
    options = parser.parse_args()
    reason = _why_no_engine()
    if reason is not None:
        sys.stdout.write(f"skipped: no container engine answers: {reason}\n")
        return 0
    engine = Engine()
    try:
        return min(_run_checks(engine, options), 1)
    finally:
        if not options.keep:
            engine.compose("down", "--volumes")


if __name__ == "__main__":
    sys.exit(main())
