"""Configuration of logging."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from triptych.service.logs import configure_logs
from triptych.settings.tree import LogSettings


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Restore the defaults of structlog for other tests."""
    yield
    structlog.reset_defaults()


def test_without_a_terminal_each_event_is_a_json_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Stdout is reserved for results."""
    configure_logs(LogSettings())

    structlog.get_logger().info("source_done", stream="city", sent=3)

    output = capsys.readouterr()
    line = json.loads(output.err)
    assert output.out == ""
    assert (line["event"], line["level"], line["stream"], line["sent"]) == ("source_done", "info", "city", 3)
    assert line["timestamp"].endswith("Z")


def test_the_console_format_is_readable_text(capsys: pytest.CaptureFixture[str]) -> None:
    """It uses colours only on a terminal."""
    configure_logs(LogSettings(format="console"))

    structlog.get_logger().info("source_done", stream="city")

    output = capsys.readouterr().err
    assert "source_done" in output
    assert "stream=city" in output
    assert "\x1b" not in output


def test_events_below_the_level_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """Here everything below `error`."""
    configure_logs(LogSettings(level="error"))

    structlog.get_logger().warning("source_ended_early")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_has_no_values_of_variables(
    form: Literal["json", "console"], capsys: pytest.CaptureFixture[str]
) -> None:
    """Passwords are among them."""
    configure_logs(LogSettings(format=form))

    def connect(password: str) -> None:
        raise ConnectionError(f"expected {len(password)} letters")

    try:
        connect("HUNTER2".lower())  # the line itself is shown
    except ConnectionError:
        structlog.get_logger().exception("publisher_failed")

    output = capsys.readouterr().err
    assert "expected 7 letters" in output
    assert "test_logs.py" in output
    assert "hunter2" not in output
