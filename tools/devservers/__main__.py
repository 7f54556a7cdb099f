"""Run a development server in the foreground until Ctrl-C: `python -m tools.devservers kafka|redis|secured|fetch`."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from pathlib import Path

from tools.devservers import DevKafka, DevRedis, MissingProgramError
from tools.devservers.jars import kafka_jars
from tools.devservers.kafka import class_archive_flags
from tools.devservers.requirements import require_java
from tools.devservers.secured import SecuredServers

USAGE = "usage: python -m tools.devservers kafka|redis [PORT] | secured FOLDER | fetch\n"
KAFKA_PORT = 9092
REDIS_PORT = 6379


def main(args: list[str]) -> int:
    """Start the named server, print its address, and wait for a signal. Return the exit code."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    match args:
        case ["fetch"]:
            sys.stdout.write(f"Apache Kafka: {kafka_jars()}\n")
            class_archive_flags(require_java())
        case ["kafka", *port]:
            with DevKafka(port=_free(int(port[0]) if port else KAFKA_PORT)) as kafka:
                sys.stdout.write(f"Kafka: {kafka.bootstrap_servers}   log: {kafka.log_path}   (Ctrl-C stops it)\n")
                sys.stdout.flush()
                stop.wait()
        case ["redis", *port]:
            with DevRedis(port=_free(int(port[0]) if port else REDIS_PORT)) as redis:
                sys.stdout.write(f"Redis: {redis.url}   (Ctrl-C stops it)\n")
                sys.stdout.flush()
                stop.wait()
        case ["secured", folder]:
            with SecuredServers(Path(folder)) as servers:
                sys.stdout.write(
                    f"Settings: {' '.join(map(str, servers.settings_files))}   (Ctrl-C stops the servers)\n"
                )
                sys.stdout.flush()
                stop.wait()
        case _:
            sys.stderr.write(USAGE)
            return 2
    return 0


def _free(port: int) -> int:
    """Return a port on which nothing listens.

    Raises:
        PortInUseError: something does. A server that could not listen would seem to answer.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortInUseError(
                f"port {port}: expected a free one, got: {error.strerror}; name another port"
            ) from error
    return port


class PortInUseError(RuntimeError):
    """Something else listens on a port."""


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (MissingProgramError, PortInUseError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
