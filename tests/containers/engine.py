"""The container engine, Compose with a project of its own, and ways to wait for them and to state what is expected."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from redis import Redis, RedisError

REPOSITORY: Final = Path(__file__).parents[2]
VERSION: Final = "0.1.0"
PROJECT: Final = "triptych-test"
LIMIT_S: Final = 240.0
SAMPLE: Final = "city"
"""The stream of the sample clip."""


class CheckFailedError(Exception):
    """A check did not find what it expected."""


class Engine:
    """The engine's command line, and Compose with a project of its own."""

    def __init__(self) -> None:
        """Find Compose."""
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
        self._compose = ["docker", "compose"] if plugin else ["docker-compose"]
        self._compose += ["--project-name", PROJECT]
        self._redis = Redis(port=6379, socket_timeout=5)

    def version(self) -> str:
        """Return the versions of engine and Compose, and the processor's architecture."""
        engine = self.docker("version", "--format", "{{.Server.Version}} for {{.Server.Os}}/{{.Server.Arch}}")
        return f"engine {engine.strip()}, Compose {self.compose('version', '--short').strip()}"

    def answers(self) -> bool:
        """Tell whether the engine answers."""
        return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0

    def docker(self, *args: str, limit_s: float = LIMIT_S) -> str:
        """Run a command of the engine and return what it prints."""
        return run(["docker", *args], limit_s)

    def compose(self, *args: str, limit_s: float = LIMIT_S) -> str:
        """Run a command of Compose and return what it prints."""
        return run([*self._compose, *args], limit_s)

    def containers(self, service: str) -> list[dict[str, Any]]:
        """Return what the engine knows about the containers of a service, also about those that have ended."""
        labels = (f"com.docker.compose.project={PROJECT}", f"com.docker.compose.service={service}")
        filters = [part for label in labels for part in ("--filter", f"label={label}")]
        ids = self.docker("ps", "--all", "--quiet", "--no-trunc", *filters).split()
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", *ids)) if ids else []
        started = [container for container in found if container["Config"]["Labels"][_ONE_OFF] == "False"]
        return sorted(started, key=lambda container: str(container["Name"]))

    def inspect(self, container: str) -> dict[str, Any]:
        """Return what the engine knows about a container."""
        (found,) = json.loads(self.docker("inspect", container))
        return dict(found)

    def running(self, service: str) -> list[dict[str, Any]]:
        """Return what the engine knows about the containers of a service that run."""
        return [container for container in self.containers(service) if container["State"]["Running"]]

    def are_healthy(self, service: str, count: int = 1) -> bool:
        """Tell whether so many containers of a service run and pass their health check."""
        states = [container["State"] for container in self.running(service)]
        return [state.get("Health", {}).get("Status") for state in states].count("healthy") == count

    def wait_healthy(self, *services: str, workers: int = 1) -> str:
        """Wait until all services are healthy, and tell how long each took after the one before it."""

        def took_s(name: str) -> float:
            count = workers if name == "worker" else 1
            return wait_until(lambda: self.are_healthy(name, count), f"{count} healthy {name}")

        return ", ".join(f"{name} healthy after {took_s(name):.0f} s more" for name in services)

    def logs(self, container: str) -> list[dict[str, Any]]:
        """Return the log entries of a container."""
        done = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=True)
        return [json.loads(line) for line in (done.stdout + done.stderr).splitlines() if line.startswith("{")]

    def results(self, stream: str = SAMPLE) -> list[dict[str, Any]]:
        """Return all results of a stream that are kept, read as a user reads them."""
        lines = self.compose("run", "--rm", "-T", "worker", "watch", stream, "--json", "--until-end").splitlines()
        return [json.loads(line) for line in lines if line.startswith('{"schema_version')]

    def count(self, stream: str = SAMPLE) -> int:
        """Return the number of results of a stream that are kept, 0 while Redis does not answer."""
        try:
            return int(self._redis.xlen(f"triptych:results:{{{stream}}}"))
        except RedisError:
            return 0

    def wait_for_results(self, after: int, what: str, *, limit_s: float = LIMIT_S) -> float:
        """Wait until there are more results than so many, and return how long it took."""
        return wait_until(lambda: self.count() > after, f"results after {what}", limit_s=limit_s)

    def publishing_worker(self) -> str:
        """Return the container of the worker whose counter of results grows: it has the stream."""
        workers = self.running("worker")
        before = [_published(worker) for worker in workers]
        grown: list[str] = []

        def has_grown() -> bool:
            grown[:] = [str(w["Id"]) for w, b in zip(workers, before, strict=True) if _published(w) > b]
            return bool(grown)

        wait_until(has_grown, "a worker that publishes", limit_s=60)
        return grown[0]


_ONE_OFF: Final = "com.docker.compose.oneoff"
"""Compose sets this label to `True` on a container that `docker compose run` started."""


def run(command: Sequence[str], limit_s: float = LIMIT_S) -> str:
    """Run a command in the repository and return what it prints."""
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=limit_s, check=False)
    if done.returncode:
        raise CheckFailedError(
            f"{' '.join(command)}: exit code {done.returncode}: {(done.stderr or done.stdout)[-600:]}"
        )
    return done.stdout


def get(container: dict[str, Any], port: str, path: str) -> str:
    """Return what a container serves at a path, asked for at the port of this machine that is published for it."""
    published = container["NetworkSettings"]["Ports"][port][0]["HostPort"]
    with urllib.request.urlopen(f"http://127.0.0.1:{published}{path}", timeout=5) as answer:
        text: str = answer.read().decode()
    return text


def _published(container: dict[str, Any]) -> float:
    lines = get(container, "9464/tcp", "/metrics").splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("triptych_results_total"))


def wait_until(condition: Callable[[], bool], what: str, *, limit_s: float = LIMIT_S) -> float:
    """Wait, and return how long it took."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > limit_s:
            raise CheckFailedError(f"{what}: not within {limit_s:g} s")
        time.sleep(0.2)
    return time.monotonic() - start


def expect(value: object, expected: object, what: str) -> None:
    """Compare two values."""
    if value != expected:
        raise CheckFailedError(f"{what}: expected {expected!r}, got {value!r}")


def require(condition: object, what: str) -> None:
    """Fail if a condition does not hold."""
    if not condition:
        raise CheckFailedError(f"{what}: expected so, it is not")
