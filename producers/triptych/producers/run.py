"""Play sources: read this first.

One thread for each file, a process for each URL (`live.py`), one publisher for all: read a record, wait until it is
due, send it. At the end, or when told to stop, the tracks are ended and everything is flushed. A source that fails does
not stop the others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from threading import Event
from typing import Final, Protocol

import structlog

from triptych.producers.clock import Clock, SystemClock
from triptych.producers.live.player import LivePlayer
from triptych.producers.pacing import Pacer
from triptych.producers.sender import Sender
from triptych.producers.session.clock_measurement import FilmMeter
from triptych.producers.session.playback import Playback
from triptych.producers.session.session_boundary import SessionBoundary
from triptych.producers.sources.plan import PlaybackPlan
from triptych.producers.sources.source import UrlSource
from triptych.producers.status.counters import Counters, Standing
from triptych.producers.status.outcome import SourceOutcome
from triptych.schemas.errors import TriptychError, UsageError
from triptych.schemas.records import AudioChunk, InputRecord
from triptych.transport.protocols import Publisher, Transport

_log = structlog.get_logger(__name__)
CLOSE_S: Final = 20.0
"""How long the broker may take for what is in flight at the end; within what a supervisor allows (30 s)."""

GLANCE_S: Final = 0.2
"""How often the progress is shown; short, so that the main thread takes signals soon."""


class Board(Protocol):
    """Show how the sources stand."""

    def show(self, standings: Sequence[Standing]) -> None:
        """Show them; called several times a second by the thread that waits."""


class SourcePlayer(Protocol):
    """Play one source, once its thread is started."""

    thread: threading.Thread

    @property
    def standing(self) -> Standing:
        """How it stands now."""

    def outcome(self) -> SourceOutcome:
        """Return how it ended."""


def check_playable(plans: Sequence[PlaybackPlan]) -> None:
    """Raise the first source's `UsageError` where no source can be played at all; before anything is connected."""
    errors: list[UsageError] = []
    for plan in plans:
        if isinstance(plan.source, UrlSource):
            return  # whether it can be played may change at any moment
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
    board: AbstractContextManager[Board] | None = None,
) -> tuple[SourceOutcome, ...]:
    """Play all sources at once and return how each ended, when all have and everything is flushed.

    Args:
        plans: what to play.
        transport: where the records go; its topics must exist.
        clock: for tests.
        stop: set it, from any thread, to end all sources properly before their time.
        board: where to show progress.

    Raises:
        PublishTimeoutError: at the end the broker did not take what was still in flight.
    """
    clock, stop = clock or SystemClock(), stop or Event()
    publisher = transport.publisher()
    players = [player_of(plan)(plan, publisher, clock, stop) for plan in plans]
    with board or nullcontext(NullProgress()) as shown:
        try:
            for player in players:
                player.thread.start()
            for player in players:
                while player.thread.is_alive():
                    shown.show([each.standing for each in players])
                    player.thread.join(GLANCE_S)
        finally:
            stop.set()  # where the waiting itself was interrupted, the sources still end
            for player in players:
                player.thread.join()
            publisher.close(CLOSE_S)
        shown.show([player.standing for player in players])
    return tuple(player.outcome() for player in players)


def player_of(plan: PlaybackPlan) -> Callable[[PlaybackPlan, Publisher, Clock, Event], SourcePlayer]:
    """Return what plays such a source in threads of its own."""
    return LivePlayer if isinstance(plan.source, UrlSource) else _FilePlayer


class NullProgress:
    """A board that nobody looks at."""

    def show(self, standings: Sequence[Standing]) -> None:
        """Show nothing."""


class _FilePlayer:
    """Play one file in a thread of its own."""

    def __init__(self, plan: PlaybackPlan, publisher: Publisher, clock: Clock, stop: Event) -> None:
        self.thread = threading.Thread(target=self._run, name=f"produce {plan.stream}", daemon=True)
        self._plan = plan
        self._publisher = publisher
        self._clock = clock
        self._stop = stop
        self._tally = Counters(plan.stream)
        self._error: Exception | None = None

    @property
    def standing(self) -> Standing:
        """How it stands now."""
        return self._tally.standing

    def outcome(self) -> SourceOutcome:
        """Return how it ended."""
        return SourceOutcome(self._plan, self.standing, self._error)

    def _run(self) -> None:
        """Play, and keep what went wrong for the thread that waits."""
        try:
            with Playback(self._plan) as playback:
                self._play(playback)
        except TriptychError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - the edge of the thread: one source must not stop the others
            _log.exception("source.failed", stream=self._plan.stream)
            self._fail(error)

    def _play(self, playback: Playback) -> None:
        """Send everything, in the order: the film's records, each when it is due; then the end of each track."""
        start_at_ns = self._start_at_ns(playback.duration_ns)
        self._tally.begin(self._plan.total_ns(playback.duration_ns))
        sender = Sender(self._publisher, self._tally, self._stop, start_at_ns=start_at_ns)
        pacer = Pacer(self._plan.realtime, self._clock.monotonic_ns())
        meter, seam, late = FilmMeter(), SessionBoundary(), 0
        with closing(playback.records(start_at_ns)) as records:  # type: ignore[type-var]  # it is a generator
            for record in records:
                due_ns = _known_ns(record) - start_at_ns
                self._clock.wait(self._stop, pacer.wait_ns(due_ns, monotonic_ns=self._clock.monotonic_ns()))
                behind_ns = pacer.behind_ns(due_ns, monotonic_ns=self._clock.monotonic_ns())
                for joined in seam.join(meter.stamped(record), self._clock.monotonic_ns()):
                    sender.send(joined, behind_clock_ns=behind_ns)
                if playback.behind > late:
                    self._tally.late(playback.behind - late)
                    late = playback.behind
                if self._stop.is_set():  # only now: what was read is counted in where the tracks end
                    break
        for end in (*seam.rest(), *playback.ends()):
            sender.send(end)
        if playback.behind:
            _log.warning("source.badly_interleaved", stream=self._plan.stream, items_left_out_or_cut=playback.behind)
        self._tally.finish("stopped" if self._stop.is_set() else "done")

    def _start_at_ns(self, duration_ns: int | None) -> int:
        """Return the event time of the film's first moment: as planned, else now, or so that the film ends now."""
        if self._plan.start_at_ns is not None:
            return self._plan.start_at_ns
        length_ns = 0 if self._plan.realtime else self._plan.total_ns(duration_ns) or 0
        return self._clock.now_ns() - length_ns

    def _fail(self, error: Exception) -> None:
        self._error = error
        self._tally.finish("failed")


def _known_ns(record: InputRecord) -> int:
    """Return the moment at which a live feed could have sent this: a chunk of sound when its last sample is heard."""
    return record.end_ns if isinstance(record, AudioChunk) else record.start_ns
