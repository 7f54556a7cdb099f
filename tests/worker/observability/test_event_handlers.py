"""The tables from event type to handler."""

from __future__ import annotations

import inspect
from dataclasses import is_dataclass
from typing import get_args

import pytest

from triptych.worker.observability import events, logs, metrics
from triptych.worker.observability.event_handlers import EventHandlers
from triptych.worker.observability.events import Event, HeadAgreement, PromptAgreement, StreamForgotten

EVENT_TYPES = frozenset(get_args(Event))
PARTS = {HeadAgreement, PromptAgreement}
"""Dataclasses in `events.py` that are parts of an event."""


def test_every_dataclass_in_events_is_an_event() -> None:
    """`Event` names all of them."""
    defined = {
        value
        for value in vars(events).values()
        if inspect.isclass(value) and is_dataclass(value) and value.__module__ == events.__name__
    }
    assert defined - PARTS == EVENT_TYPES


@pytest.mark.parametrize("handlers", [logs.HANDLERS, metrics.HANDLERS], ids=["logs", "metrics"])
def test_every_event_is_handled_or_ignored_for_a_reason(handlers: EventHandlers[object]) -> None:
    """A new event type must be logged and counted, or ignored on purpose."""
    assert handlers.handled | handlers.ignored.keys() == EVENT_TYPES
    assert not handlers.handled & handlers.ignored.keys()
    assert all(handlers.ignored.values())


def test_no_event_is_ignored_by_logs_and_metrics() -> None:
    """An event that neither shows is useless."""
    assert not logs.HANDLERS.ignored.keys() & metrics.HANDLERS.ignored.keys()


def test_the_handler_of_the_event_type_is_called() -> None:
    """Events without a handler are ignored."""
    handlers = EventHandlers[list[str]](ignored={})

    @handlers.on(StreamForgotten)
    def note(streams: list[str], event: StreamForgotten) -> None:
        streams.append(event.stream)

    streams: list[str] = []
    handlers.handle(streams, StreamForgotten("city"))
    handlers.handle(streams, events.Stopping("signal"))
    assert streams == ["city"]


def test_a_second_handler_of_an_event_type_is_an_error() -> None:
    """So is a handler of an ignored type."""
    handlers = EventHandlers[None](ignored={events.Stopping: "an example"})
    handlers.on(StreamForgotten)(lambda _, __: None)
    for event_type in (StreamForgotten, events.Stopping):
        with pytest.raises(ValueError, match=event_type.__name__):
            handlers.on(event_type)
