"""A table from event type to handler, which a hook fills with a decorator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from triptych.worker.observability.events import Event

_State = TypeVar("_State")
_Event = TypeVar("_Event", bound=Event)


class EventHandlers(Generic[_State]):
    """The handlers of one hook.

        handlers = EventHandlers[Counters](ignored={})

        @handlers.on(StreamForgotten)
        def _count(counters: Counters, event: StreamForgotten) -> None: ...

    A hook names the events that it ignores, each with the reason, so that a test can tell them from forgotten ones.
    """

    def __init__(self, ignored: Mapping[type[Event], str]) -> None:
        """Create a table without handlers. `ignored` maps event types to the reason why the hook ignores them."""
        self._ignored = dict(ignored)
        self._handlers: dict[type[object], Callable[[_State, Any], None]] = {}

    @property
    def ignored(self) -> Mapping[type[Event], str]:
        """Event types that the hook ignores, with the reasons."""
        return self._ignored

    @property
    def handled(self) -> frozenset[type[object]]:
        """Event types that have a handler."""
        return frozenset(self._handlers)

    def on(
        self, event_type: type[_Event]
    ) -> Callable[[Callable[[_State, _Event], None]], Callable[[_State, _Event], None]]:
        """Register the decorated function as the handler of an event type.

        Raises:
            ValueError: the type has a handler already, or is ignored.
        """
        if event_type in self._handlers or event_type in self._ignored:
            raise ValueError(f"{event_type.__name__}: expected one handler or one reason to ignore it, got two")

        def register(handler: Callable[[_State, _Event], None]) -> Callable[[_State, _Event], None]:
            self._handlers[event_type] = handler
            return handler

        return register

    def handle(self, state: _State, event: Event) -> None:
        """Call the handler of an event, if it has one."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(state, event)
