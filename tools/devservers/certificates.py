"""Certificates for secured development servers: a private authority, created by openssl, valid for loopback."""

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
    """The paths of the files (PEM)."""

    ca: Path
    cert: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        """Create an authority, and a certificate for 127.0.0.1 and localhost."""
        made = cls(folder / "ca.pem", folder / "server.pem", folder / "server.key")
        _openssl("req", "-x509", *KEY, "-subj", "/CN=Development authority", "-keyout", made._ca_key, "-out", made.ca)
        made._sign("localhost", made.cert, made.key)
        return made

    def for_client(self, name: str) -> tuple[Path, Path]:
        """Create a client certificate for a name; return the paths of it and its key."""
        cert, key = self.ca.with_name(f"client-{name}.pem"), self.ca.with_name(f"client-{name}.key")
        self._sign(name, cert, key)
        return cert, key

    @property
    def _ca_key(self) -> Path:
        return self.ca.with_suffix(".key")

    def _sign(self, name: str, cert: Path, key: Path) -> None:
        signing = ("-x509", "-CA", self.ca, "-CAkey", self._ca_key, "-addext", NAMES)
        leaf = ("-addext", "basicConstraints=CA:FALSE")
        _openssl("req", *signing, *leaf, *KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", cert)


def _openssl(*args: str | Path) -> None:
    program = require("openssl", "making certificates")
    command = [program, *map(str, args), "-days", DAYS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl could not make a certificate:\n{done.stderr}")
