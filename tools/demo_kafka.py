"""Run the demo through a real Apache Kafka and a real Redis, which are started before it and stopped after it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tools.devservers import DevKafka, DevRedis, MissingProgramError


def main() -> int:
    """Run `triptych demo --kafka` with the flags of the command line. Return its exit code."""
    # Ctrl-C reaches the demo too. Wait until it has ended, then stop the servers.
    signal.signal(signal.SIGINT, lambda *_: None)
    with DevKafka() as kafka, DevRedis() as redis:
        sys.stdout.write(f"Started Kafka on {kafka.bootstrap_servers} and Redis on {redis.url}\n")
        sys.stdout.flush()
        environ = os.environ | {
            "TRIPTYCH_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "TRIPTYCH_REDIS_URL": redis.url,
        }
        command = [sys.executable, "-m", "triptych", "demo", "--kafka", *sys.argv[1:]]
        exit_code = subprocess.run(command, env=environ, check=False).returncode
    sys.stdout.write("Stopped both\n")
    return exit_code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MissingProgramError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
