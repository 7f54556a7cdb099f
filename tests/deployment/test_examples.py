"""The example for systemd: its variables are settings, and its workers are static members."""

from __future__ import annotations

import configparser
from pathlib import Path
from typing import Any

from triptych.settings.loading import load
from triptych.settings.tree import Settings

EXAMPLES = Path(__file__).parents[2] / "examples"


def systemd_unit() -> dict[str, list[str]]:
    """Return the lines of the service's section, by key."""

    class Repeated(dict[str, Any]):
        """Collects the values of a key that is repeated, as systemd does."""

        def __setitem__(self, key: str, value: Any) -> None:  # noqa: ANN401 - the parser's own values
            if isinstance(value, list) and key in self:
                value = [*self[key], *value]
            super().__setitem__(key, value)

    parser = configparser.RawConfigParser(dict_type=Repeated, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # keys are case-sensitive
    parser.read(EXAMPLES / "systemd" / "triptych-worker@.service")
    return {key: value.splitlines() for key, value in parser["Service"].items()}


def checked(environ: dict[str, str]) -> Settings:
    """Return the settings. The loader rejects unknown variables."""
    settings = load(environ=environ)
    assert settings.kafka.group_instance_id is not None
    return settings


def test_the_workers_of_the_systemd_unit_are_static_members_that_are_started_again() -> None:
    """The name is the machine's and the instance's."""
    unit = systemd_unit()
    environ = dict(line.replace("%l", "host").replace("%i", "2").split("=", 1) for line in unit["Environment"])
    settings = checked(environ)

    assert settings.kafka.group_instance_id == "host-2"
    assert settings.http.port == 19_462
    assert unit["Restart"] == ["always"]
    assert int(unit["TimeoutStopSec"][0]) * 1_000 > settings.worker.shutdown_limit_ms
    assert int(unit["RestartSec"][0]) * 1_000 < settings.kafka.session_timeout_ms


def test_the_examples_are_mentioned_in_the_documentation() -> None:
    """A file that no page names is not found."""
    page = (EXAMPLES.parent / "docs" / "deployment.md").read_text(encoding="utf-8")

    for path in EXAMPLES.glob("*/*.service"):
        assert path.relative_to(EXAMPLES.parent).as_posix() in page
