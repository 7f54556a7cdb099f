"""What the players of files and of URLs share: a thread, the counters, and the error that ended them."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from threading import Event

import structlog

from triptych.producers.clock import RunningClock
from triptych.producers.sending.dispatcher import FeedSender, RecordDispatcher
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.status.counters import Counters, SourceStatus, State
from triptych.producers.status.outcome import SourceOutcome
from triptych.schemas.errors import TriptychError

_log = structlog.get_logger(__name__)


class SourcePlayer(ABC):
    """Play one source in a thread of its own, once `thread` is started.

    The thread ends when the source has ended, has failed, or `stop` is set.
    """

    def __init__(self, plan: PlaybackPlan, dispatcher: RecordDispatcher, clock: RunningClock, stop: Event) -> None:
        self.thread = threading.Thread(target=self._run, name=f"produce {plan.stream}", daemon=True)
        self._plan = plan
        self._dispatcher = dispatcher
        self._clock = clock
        self._stop = stop
        self._counters = Counters(plan.stream)
        self._error: Exception | None = None
        self._ended_as: State | None = None
        self._sender: FeedSender | None = None
        self._suspended_before_ns = clock.suspended_ns

    @property
    def status(self) -> SourceStatus:
        """The current counts and state. A source has ended when all its records are settled.

        Then its counts are final.
        """
        # In this order: once the source has ended it sends nothing more, and once that is settled nothing is counted.
        ended_as, sender = self._ended_as, self._sender
        is_final = ended_as is not None and (sender is None or sender.is_settled)
        if ended_as is not None and self._failure is not None:
            ended_as = "failed"
        status = replace(self._counters.status, suspended_ns=self._clock.suspended_ns - self._suspended_before_ns)
        if sender is not None:
            status = replace(status, queued_bytes=sender.kept_bytes, kept_ns=sender.kept_ns)
        return replace(status, state=ended_as) if ended_as is not None and is_final else status

    def outcome(self) -> SourceOutcome:
        """Return how the source ended."""
        return SourceOutcome(self._plan, self.status, self._failure)

    @property
    def _failure(self) -> Exception | None:
        """What has ended the source. The transport may fail only after the source was read to its end."""
        return self._error or (None if self._sender is None else self._sender.final_failure)

    @abstractmethod
    def _play(self) -> None:
        """Play the source to its end. Pass everything that can fail through `_guard`."""

    def _open_sender(self, *, start_at_ns: int, drops: bool) -> FeedSender:
        """Open the sender, of a source whose media time zero is the event time `start_at_ns`."""
        self._sender = self._dispatcher.open(self._counters, self._stop, start_at_ns=start_at_ns, drops=drops)
        return self._sender

    def _run(self) -> None:
        self._play()
        if self._sender is not None:
            self._sender.close()
        if self._error is not None:
            self._ended_as = "failed"
        else:
            self._ended_as = "stopped" if self._stop.is_set() else "done"

    def _guard(self, act: Callable[[], None]) -> None:
        """Call a function, and keep its error for the thread that waits. The first error wins."""
        try:
            act()
        except TriptychError as error:
            self._error = self._error or error
        except Exception as error:  # noqa: BLE001 - the edge of the thread: one source must not stop the others
            _log.exception("source_failed", stream=self._plan.stream)
            self._error = self._error or error
