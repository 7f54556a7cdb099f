"""Dispatch of events to hooks, and isolation of hooks that fail."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from structlog.testing import capture_logs

from triptych.worker.observability.events import Event, StreamForgotten
from triptych.worker.observability.hooks import Hooks

EVENT = StreamForgotten(stream="city")


def test_every_hook_gets_every_event_in_order() -> None:
    """Hooks are called in the order of the list."""
    seen: list[tuple[int, Event]] = []
    hooks = Hooks([lambda event: seen.append((1, event)), lambda event: seen.append((2, event))])
    hooks.emit(EVENT)
    assert seen == [(1, EVENT), (2, EVENT)]


def test_a_hook_that_fails_stops_neither_the_worker_nor_the_other_hooks() -> None:
    """Its first failure is logged with a traceback, and it is still called."""
    calls = 0
    seen: list[Event] = []

    def broken(_: Event) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("no room on the disk")

    hooks = Hooks([broken, seen.append])
    with capture_logs() as logs:
        for _ in range(3):
            hooks.emit(EVENT)

    assert calls == 3
    assert seen == [EVENT] * 3
    (line,) = logs
    assert line["event"] == "hook_failed"
    assert line["failed_on"] == "StreamForgotten"
    assert "no room on the disk" in repr(line["exc_info"])
    assert line["exc_info"].__traceback__ is not None


def test_each_failing_hook_is_logged() -> None:
    """Two broken hooks are two lines."""

    def one(_: Event) -> None:
        raise RuntimeError

    def other(_: Event) -> None:
        raise ValueError

    with capture_logs() as logs:
        Hooks([one, other]).emit(EVENT)
    assert ["one" in line["hook"] for line in logs] == [True, False]


def test_an_event_is_immutable() -> None:
    """A hook cannot change what the next one sees."""
    with pytest.raises(FrozenInstanceError):
        EVENT.stream = "harbour"  # type: ignore[misc]
