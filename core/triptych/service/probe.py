"""A health check for containers: asks the program on this machine whether it is ready.

    python -m triptych.service.probe                 a worker
    python -m triptych.service.probe produce_http    a producer
    python -m triptych.service.probe describe_http   a program that describes results
    python -m triptych.service.probe page_http       a page

It reads the settings of the program's HTTP endpoints, including the token. The exit code is 0 if the program is ready.
Otherwise it is 1, and stderr tells the reason.

A container runs it every few seconds, so it imports no other module, except to read a settings file.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from typing import Final, NamedTuple

_LOOPBACK_OF: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where the program listens, not the probe
_DEFAULT_PORTS: Final = {"http": 9_464, "produce_http": 0, "describe_http": 0, "page_http": 0}
_TIMEOUT_S: Final = 3.0
_OK: Final = b"200"


class HealthEndpoint(NamedTuple):
    """Where the program listens, and the token that requests must carry."""

    host: str
    port: int
    token: str | None


def endpoint(section: str, environ: Mapping[str, str] = os.environ) -> HealthEndpoint:
    """Return the endpoint that a section of the settings describes."""
    if environ.get("TRIPTYCH_CONFIG"):
        from triptych.settings.loading import load  # noqa: PLC0415 - imports pydantic, as the head of the module says

        settings = getattr(load(environ=environ), section)
        return HealthEndpoint(settings.host, settings.port, settings.bearer_token())
    prefix = f"TRIPTYCH_{section.upper()}_"
    token = environ.get(f"{prefix}TOKEN")
    if environ.get(f"{prefix}TOKEN_FILE"):
        with open(environ[f"{prefix}TOKEN_FILE"], encoding="utf-8") as file:  # noqa: PTH123 - pathlib takes longer to import
            token = file.read().strip()
    port = environ.get(f"{prefix}PORT", _DEFAULT_PORTS[section])
    return HealthEndpoint(environ.get(f"{prefix}HOST", "127.0.0.1"), int(port), token)


def why_not_ready(where: HealthEndpoint) -> str | None:
    """Return why the program is not ready, or None if it is. Block for a few seconds at most."""
    authorization = "" if where.token is None else f"Authorization: Bearer {where.token}\r\n"
    try:
        with socket.create_connection((_LOOPBACK_OF.get(where.host, where.host), where.port), _TIMEOUT_S) as connection:
            connection.sendall(f"GET /readyz HTTP/1.0\r\n{authorization}\r\n".encode())
            with connection.makefile("rb") as answer:
                status, _, rest = answer.read().partition(b"\r\n")
    except (OSError, OverflowError) as error:
        return f"port {where.port} does not answer: {error}"
    code = status.split(b" ")[1] if status.count(b" ") else status
    body = rest.partition(b"\r\n\r\n")[2].decode(errors="replace").strip()
    return None if code == _OK else f"{code.decode(errors='replace')}: {body}"


def main(section: str = "http") -> int:
    """Run the check and return the exit code."""
    try:
        reason = why_not_ready(endpoint(section))
    except (OSError, ValueError) as error:  # SettingsError is a ValueError
        reason = str(error)
    if reason is not None:
        sys.stderr.write(f"{reason}\n")
    return 0 if reason is None else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
