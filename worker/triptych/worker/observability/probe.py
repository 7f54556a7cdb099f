"""A health check for containers: asks the worker on this machine whether it is ready.

    python -m triptych.worker.observability.probe

It reads the same settings as the worker, including the token. The exit code is 0 if the worker is ready. Otherwise it
is 1, and stderr tells the reason.
"""

from __future__ import annotations

import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Final

from triptych.settings.http import HttpSettings
from triptych.settings.loading import load
from triptych.settings.section import SettingsError

_LOOPBACK_OF: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where the worker listens, not the probe
_TIMEOUT_S: Final = 3.0


def why_not_ready(http: HttpSettings) -> str | None:
    """Return why the worker with these settings is not ready, or None if it is. Block for a few seconds at most."""
    token = http.bearer_token()
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    connection = HTTPConnection(_LOOPBACK_OF.get(http.host, http.host), http.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz", headers=headers)
        response = connection.getresponse()
        body = response.read().decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        return f"the worker's port {http.port} does not answer: {error}"
    finally:
        connection.close()
    return None if response.status == HTTPStatus.OK else f"{response.status}: {body}"


def main() -> int:
    """Run the check and return the exit code."""
    try:
        reason = why_not_ready(load().http)
    except SettingsError as error:
        reason = str(error)
    if reason is not None:
        sys.stderr.write(f"{reason}\n")
    return 0 if reason is None else 1


if __name__ == "__main__":
    sys.exit(main())
