"""What the programs say of themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from triptych.service.logs import configure_logs
from triptych.settings.tree import LogSettings


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Leave no set-up behind for other tests."""
    yield
    structlog.reset_defaults()


def test_without_a_terminal_each_event_is_a_json_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Stdout belongs to results."""
    configure_logs(LogSettings())

    structlog.get_logger().info("source_done", stream="city", sent=3)

    said = capsys.readouterr()
    line = json.loads(said.err)
    assert said.out == ""
    assert (line["event"], line["level"], line["stream"], line["sent"]) == ("source_done", "info", "city", 3)
    assert line["timestamp"].endswith("Z")


def test_people_get_readable_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Without colours where there is no terminal to show them."""
    configure_logs(LogSettings(format="console"))

    structlog.get_logger().info("source_done", stream="city")

    said = capsys.readouterr().err
    assert "source_done" in said
    assert "stream=city" in said
    assert "\x1b" not in said


def test_what_is_less_severe_than_the_level_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Here all but errors."""
    configure_logs(LogSettings(level="error"))

    structlog.get_logger().warning("source_ended_early")

    assert capsys.readouterr().err == ""
