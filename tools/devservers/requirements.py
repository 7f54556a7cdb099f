"""The system programs that the servers need, and the command that installs each."""

from __future__ import annotations

import re
import shutil
import subprocess

JAVA_MAJOR = 17
INSTALL_COMMANDS = {
    "java": "apt-get install openjdk-17-jre-headless",
    "mosquitto": "apt-get install mosquitto",
    "mosquitto_passwd": "apt-get install mosquitto",
    "mvn": "apt-get install maven",
    "openssl": "apt-get install openssl",
    "redis-cli": "apt-get install redis-tools",
    "redis-server": "apt-get install redis-server",
    "setpriv": "apt-get install util-linux",
}


class MissingProgramError(RuntimeError):
    """A system program is missing. The message names the command that installs it."""


_SYSTEM_PATH = "/usr/sbin"
"""Where Debian puts some servers. It is on the PATH of root only."""


def require(program: str, purpose: str) -> str:
    """Return the path of a program. Raises `MissingProgramError`."""
    path = shutil.which(program) or shutil.which(program, path=_SYSTEM_PATH)
    if path is None:
        raise MissingProgramError(f"{program} is not installed; {purpose} needs it: {INSTALL_COMMANDS[program]}")
    return path


def require_java() -> str:
    """Return the path of a Java that can run the broker. Raises `MissingProgramError`."""
    path = require("java", "Apache Kafka")
    # "java -version" writes to stderr, and the vendors only agree on its first line.
    banner = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', banner)
    if found is None or int(found[1]) < JAVA_MAJOR:
        came = found[1] if found else "no version in: " + banner.partition("\n")[0]
        raise MissingProgramError(
            f"Apache Kafka needs Java {JAVA_MAJOR} or newer, found {came}: {INSTALL_COMMANDS['java']}"
        )
    return path
