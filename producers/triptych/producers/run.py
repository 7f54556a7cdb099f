"""Play sources. Start reading here.

Each file is played by one thread, each URL by a process and two threads (`live/`). A player reads a record, waits until
it is due and queues it; one thread sends what all of them have queued (`sending/`). When the source ends or the program
stops, the player ends the tracks. A source that fails does not stop the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from threading import Event
from typing import Final, Protocol

from triptych.producers.clock import Clock, RunningClock, SystemClock
from triptych.producers.file_player import FilePlayer
from triptych.producers.live.live_player import LivePlayer
from triptych.producers.sending.dispatcher import RecordDispatcher
from triptych.producers.sending.limits import SendLimits
from triptych.producers.sending.record_tracer import RecordTracer
from triptych.producers.session.playback import Playback
from triptych.producers.source_player import SourcePlayer
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.sources.source import UrlSource
from triptych.producers.status.counters import SourceStatus
from triptych.producers.status.outcome import SourceOutcome
from triptych.schemas.errors import UsageError
from triptych.transport.protocols import Transport

FLUSH_TIMEOUT_S: Final = 20.0
"""How long the broker may take for the messages in flight at the end. Supervisors commonly allow 30 s to stop."""

POLL_INTERVAL_S: Final = 0.2
"""How often the progress is shown. Short, because the main thread handles signals between two polls."""


class ProgressDisplay(Protocol):
    """Show the status of the sources."""

    def show(self, statuses: Sequence[SourceStatus]) -> None:
        """Show the current statuses. Called several times a second."""


class NullProgress:
    """A display that shows nothing."""

    def show(self, statuses: Sequence[SourceStatus]) -> None:
        """Do nothing."""


def check_playable(plans: Sequence[PlaybackPlan]) -> None:
    """Check that at least one source can be played. Call it before connecting to a broker.

    Raises:
        UsageError: no source can be played; the error is that of the first one.
    """
    errors: list[UsageError] = []
    for plan in plans:
        if isinstance(plan.source, UrlSource) or plan.source.is_read_once:
            return  # a URL that cannot be opened now may be available later; what is read of a pipe is gone
        try:
            with Playback(plan):
                return
        except UsageError as error:
            errors.append(error)
    raise errors[0]


def produce_all(
    plans: Sequence[PlaybackPlan],
    transport: Transport,
    *,
    clock: Clock | None = None,
    stop: Event | None = None,
    display: AbstractContextManager[ProgressDisplay] | None = None,
    limits: SendLimits | None = None,
    tracer: RecordTracer | None = None,
) -> tuple[SourceOutcome, ...]:
    """Play all sources at the same time. Block until all have ended and everything is flushed.

    Args:
        plans: what to play.
        transport: where the records go; its topics must exist.
        clock: for tests.
        stop: ends all sources early when set. Any thread may set it.
        display: where to show the progress.
        limits: what is kept while it cannot be sent.
        tracer: traces sampled records. Without it, none are.

    Returns:
        How each source ended, in the order of the plans.

    Raises:
        PublishTimeoutError: the broker did not acknowledge the messages in flight at the end.
    """
    running, stop = RunningClock(clock or SystemClock()), stop or Event()
    dispatcher = RecordDispatcher(transport.publisher(), running, limits, tracer=tracer)
    players = [player_class_of(plan)(plan, dispatcher, running, stop) for plan in plans]
    with display or nullcontext(NullProgress()) as shown:
        try:
            for player in players:
                player.thread.start()
            for player in players:
                while player.thread.is_alive():
                    shown.show([each.status for each in players])
                    player.thread.join(POLL_INTERVAL_S)
        finally:
            stop.set()  # the sources also end where an exception interrupts the wait
            for player in players:
                player.thread.join()
            try:
                dispatcher.close(FLUSH_TIMEOUT_S)
            finally:
                shown.show([player.status for player in players])
    return tuple(player.outcome() for player in players)


def player_class_of(plan: PlaybackPlan) -> type[SourcePlayer]:
    """Return the class that plays a source."""
    return LivePlayer if isinstance(plan.source, UrlSource) else FilePlayer
