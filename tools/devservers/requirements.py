"""The programs of the machine that the servers need, and the command that installs each."""

from __future__ import annotations

import re
import shutil
import subprocess

JAVA_MAJOR = 17
INSTALL_COMMANDS = {
    "java": "apt-get install openjdk-17-jre-headless",
    "mvn": "apt-get install maven",
    "openssl": "apt-get install openssl",
    "redis-cli": "apt-get install redis-tools",
    "redis-server": "apt-get install redis-server",
}


class MissingProgramError(RuntimeError):
    """A program of the machine is missing; the message names the command that installs it."""


def require(program: str, purpose: str) -> str:
    """Return the path of a program, or say which command installs it."""
    path = shutil.which(program)
    if path is None:
        raise MissingProgramError(f"{program} is not installed; {purpose} needs it: {INSTALL_COMMANDS[program]}")
    return path


def require_java() -> str:
    """Return the path of a Java that can run the broker."""
    path = require("java", "Apache Kafka")
    # "java -version" writes to stderr, and its first line is all the vendors have in common.
    banner = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', banner)
    if found is None or int(found[1]) < JAVA_MAJOR:
        came = found[1] if found else "no version in: " + banner.partition("\n")[0]
        raise MissingProgramError(
            f"Apache Kafka needs Java {JAVA_MAJOR} or newer, found {came}: {INSTALL_COMMANDS['java']}"
        )
    return path
