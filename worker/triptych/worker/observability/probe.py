"""Asking a worker of the same machine whether it is ready, for health checks.

    python -m triptych.worker.observability.probe

It reads the same settings as the worker, its token too. Exit code 0: ready; 1: not, and stderr says why.
"""

from __future__ import annotations

import sys
from http.client import HTTPConnection, HTTPException
from typing import Final

from triptych.settings.http import HttpSettings
from triptych.settings.loading import load
from triptych.settings.section import SettingsError

_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where the worker listens, not we
_LIMIT_S: Final = 3.0


def why_not_ready(http: HttpSettings) -> str | None:
    """Return what a worker with these settings answers where it is not ready, else None."""
    token = http.bearer_token()
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    connection = HTTPConnection(_EVERYWHERE.get(http.host, http.host), http.port, timeout=_LIMIT_S)
    try:
        connection.request("GET", "/readyz", headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        return f"the worker's port {http.port} does not answer: {error}"
    finally:
        connection.close()
    return None if answer.status == 200 else f"{answer.status}: {body}"  # noqa: PLR2004 - HTTP's own number


def main() -> int:
    """Ask once."""
    try:
        reason = why_not_ready(load().http)
    except SettingsError as error:
        reason = str(error)
    if reason is not None:
        sys.stderr.write(f"{reason}\n")
    return 0 if reason is None else 1


if __name__ == "__main__":
    sys.exit(main())
