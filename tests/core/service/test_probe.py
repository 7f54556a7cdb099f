"""The health check that imports next to nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.service.probe import HealthEndpoint, endpoint
from triptych.settings.loading import load

ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {"TRIPTYCH_HTTP_HOST": "0.0.0.0", "TRIPTYCH_PRODUCE_HTTP_PORT": "9465"},  # noqa: S104 - as in a container
    {"TRIPTYCH_HTTP_TOKEN": "a", "TRIPTYCH_PRODUCE_HTTP_TOKEN": "b"},
]


@pytest.mark.parametrize("section", ["http", "produce_http"])
@pytest.mark.parametrize("environ", ENVIRONMENTS, ids=["defaults", "addresses", "tokens"])
def test_the_probe_reads_what_the_program_reads(section: str, environ: dict[str, str]) -> None:
    """The defaults and variables are those of the settings."""
    settings = getattr(load(environ=environ), section)

    assert endpoint(section, environ) == HealthEndpoint(settings.host, settings.port, settings.bearer_token())


def test_a_settings_file_and_a_token_file_are_read(tmp_path: Path) -> None:
    """As the program does."""
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "file.toml").write_text(f'[http]\nport = 1234\ntoken_file = "{tmp_path / "token"}"\n')

    assert endpoint("http", {"TRIPTYCH_CONFIG": str(tmp_path / "file.toml")}) == HealthEndpoint(
        "127.0.0.1", 1234, "secret"
    )
    by_file = endpoint("http", {"TRIPTYCH_HTTP_TOKEN_FILE": str(tmp_path / "token")})
    assert by_file.token == (tmp_path / "token").read_text().strip()
