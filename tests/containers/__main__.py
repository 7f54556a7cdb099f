"""Build the images and run the Compose file with a real container engine: `make test-containers`.

    python -m tests.containers [--build-network host] [--restart-engine COMMAND] [--no-build] [--keep]

It uses whichever engine `docker` reaches (DOCKER_HOST), and Docker Compose as `docker compose` or `docker-compose`. The
ports of the Compose file must be free. Where no engine answers it says so and ends with exit code 0. Each line of the
report is a check; the exit code is 1 if one has failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

from tests.containers import building, failures, serving
from tests.containers.engine import CheckFailedError, Engine

Check = Callable[[Engine], str]


def _why_no_engine() -> str | None:
    try:
        done = subprocess.run(["docker", "version"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "there is no program `docker`"
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["docker version failed"])[-1]


def _checks(options: argparse.Namespace) -> dict[str, Check]:
    network, command = options.build_network, options.restart_engine
    checks: dict[str, Check] = {}
    if options.build:
        checks["build"] = lambda engine: building.build(engine, network)
        checks["rebuild"] = lambda engine: building.rebuild(engine, network)
    checks |= {
        "config": serving.config,
        "images": building.images,
        "start": serving.start,
        "watch": serving.watch,
        "page": serving.page,
        "rights": serving.rights,
        "memory": serving.memory,
        "device": serving.device,
        "ports": serving.ports,
        "healthcheck": serving.healthcheck,
        "weights": lambda engine: serving.weights(engine, network),
        "scale": failures.scale,
        "out of memory": failures.out_of_memory,
        "outage": failures.outage,
    }
    if command is not None:
        checks["restart"] = lambda engine: failures.restart(engine, command)
    checks["stop"] = failures.stop
    return checks


def _run_checks(engine: Engine, options: argparse.Namespace) -> int:
    failed = 0
    for name, check in _checks(options).items():
        started = time.monotonic()
        try:
            line = f"ok      {name}: {check(engine)}"
        except (CheckFailedError, subprocess.TimeoutExpired) as error:
            failed += 1
            line = f"FAILED  {name}: {error}"
        sys.stdout.write(f"{line} [{time.monotonic() - started:.0f} s]\n")
        sys.stdout.flush()
    if options.restart_engine is None:
        sys.stdout.write("skipped restart: no --restart-engine\n")
    return failed


def main() -> int:
    """Run all checks and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.containers", description=__doc__)
    parser.add_argument("--build-network", help="network of the builds and of `models pull`, for example host")
    parser.add_argument(
        "--restart-engine",
        metavar="COMMAND",
        help="shell command that stops and starts the engine, for example 'systemctl restart docker'",
    )
    parser.add_argument("--no-build", dest="build", action="store_false", help="use the images as they are")
    parser.add_argument("--keep", action="store_true", help="leave containers and volumes as they are at the end")
    options = parser.parse_args()
    reason = _why_no_engine()
    if reason is not None:
        sys.stdout.write(f"skipped: no container engine answers: {reason}\n")
        return 0
    engine = Engine()
    started = time.monotonic()
    sys.stdout.write(f"{engine.version()}\n")
    try:
        failed = _run_checks(engine, options)
    finally:
        if not options.keep:
            engine.compose("--profile", "page", "down", "--volumes")
    sys.stdout.write(f"{failed} checks failed, {time.monotonic() - started:.0f} s\n")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
