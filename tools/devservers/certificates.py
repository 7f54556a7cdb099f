"""Certificates for secured development servers: an authority of their own, made by openssl, good for loopback."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.devservers.requirements import require

DAYS = "30"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the files (PEM) lie."""

    ca: Path
    cert: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        """Make an authority, and a certificate for 127.0.0.1 and localhost."""
        ca, ca_key = folder / "ca.pem", folder / "ca.key"
        made = cls(ca, folder / "server.pem", folder / "server.key")
        _openssl("req", "-x509", *KEY, "-subj", "/CN=Development authority", "-keyout", ca_key, "-out", ca)
        signing = ("-x509", "-CA", ca, "-CAkey", ca_key, "-addext", NAMES, "-addext", "basicConstraints=CA:FALSE")
        _openssl("req", *signing, *KEY, "-subj", "/CN=localhost", "-keyout", made.key, "-out", made.cert)
        return made


def _openssl(*args: str | Path) -> None:
    program = require("openssl", "making certificates")
    command = [program, *map(str, args), "-days", DAYS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl could not make a certificate:\n{done.stderr}")
