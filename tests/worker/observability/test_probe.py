"""The health check of a container."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.devservers.ports import free_ports
from triptych.service.health import Health
from triptych.service.status import StatusServer
from triptych.worker.observability.metrics import Metrics
from triptych.worker.observability.readiness import STARTING


def _probe(port: int, **variables: str) -> tuple[int, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRIPTYCH_")}
    command = [sys.executable, "-m", "triptych.worker.observability.probe"]
    environ = {**kept, "TRIPTYCH_HTTP_HOST": "0.0.0.0", "TRIPTYCH_HTTP_PORT": str(port), **variables}  # noqa: S104 - as in a container
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("token", [None, "let-me-in"])
def test_a_container_is_healthy_when_its_worker_is_ready_with_or_without_a_token(
    tmp_path: Path, token: str | None
) -> None:
    """The probe reads the token from the same settings as the worker, and prints the unmet conditions."""
    path = tmp_path / "token"
    path.write_text("let-me-in\n")
    variables = {} if token is None else {"TRIPTYCH_HTTP_TOKEN_FILE": str(path)}
    health, (port,) = Health(starting=STARTING), free_ports(1)
    with StatusServer("127.0.0.1", port, Metrics().registry, health, token=token):
        code, stderr = _probe(port, **variables)
        assert code == 1
        assert '"missing"' in stderr

        for name in health.readiness().missing:
            health.set_ready(name, ready=True, reason="")
        assert _probe(port, **variables) == (0, "")
        if token is not None:
            assert _probe(port)[0] == 1
            assert "401" in _probe(port, TRIPTYCH_HTTP_TOKEN="wrong")[1]  # noqa: S106 - wrong on purpose


def test_an_unreachable_worker_is_not_healthy() -> None:
    """The error is one line."""
    code, stderr = _probe(free_ports(1)[0])

    assert code == 1
    assert "does not answer" in stderr
    assert stderr.count("\n") == 1
