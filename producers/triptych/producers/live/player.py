"""Play one URL: its process watched and started again, its sessions ended properly, its records queued and sent.

Two threads: one listens to the feed's process and fills the queue, one sends what is in it. A broker that is slow or
away therefore never stops the reading of a live feed.
"""

from __future__ import annotations

import logging
import multiprocessing
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from threading import Event
from typing import Final

import structlog

from triptych.producers.clock import Clock
from triptych.producers.live.backoff import Backoff
from triptych.producers.live.process import Closed, FromFeed, LateItems, LogMessage, Opened, read_feed
from triptych.producers.live.queue import LiveQueue
from triptych.producers.live.session_state import SessionState
from triptych.producers.pacing import Pacer
from triptych.producers.sender import Sender
from triptych.producers.session.session_boundary import SessionBoundary
from triptych.producers.sources.plan import PlaybackPlan
from triptych.producers.sources.source import OPEN_LIMIT_S, READ_LIMIT_S
from triptych.producers.status.counters import Counters, Standing, State
from triptych.producers.status.outcome import SourceOutcome
from triptych.schemas.errors import TriptychError, UsageError
from triptych.schemas.records import AudioChunk, InputRecord
from triptych.transport.protocols import Publisher
from triptych.units import NS_PER_S

_log = structlog.get_logger(__name__)
_MARGIN_S: Final = 5.0
"""How much longer than FFmpeg's own limits the watchdog waits."""

_START_S: Final = 20.0
"""How long the process may take to start."""

_GLANCE_S: Final = 0.2
_GRACE_S: Final = 2.0
_LEVELS: Final = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}
_SPAWN: Final = multiprocessing.get_context("spawn")


class LivePlayer:
    """Play one URL until it is over or `stop` is set; see `run.py` for how it is used."""

    def __init__(self, plan: PlaybackPlan, publisher: Publisher, clock: Clock, stop: Event) -> None:
        self.thread = threading.Thread(target=self._run, name=f"produce {plan.stream}", daemon=True)
        self._plan = plan
        self._publisher = publisher
        self._clock = clock
        self._stop = stop
        self._tally = Counters(plan.stream)
        self._queue = LiveQueue(lambda _: self._tally.dropped())
        self._book = SessionState()
        self._opened: Opened | None = None
        self._has_begun = Event()
        self._lost = ""
        self._error: Exception | None = None

    @property
    def standing(self) -> Standing:
        """How it stands now."""
        return replace(self._tally.standing, queued_bytes=self._queue.size_bytes)

    def outcome(self) -> SourceOutcome:
        """Return how it ended."""
        return SourceOutcome(self._plan, self.standing, self._error)

    def _run(self) -> None:
        """Listen in this thread and send in another, and keep what went wrong for the thread that waits."""
        sending = threading.Thread(target=self._guarded, args=(self._send_all,), name=self.thread.name, daemon=True)
        sending.start()
        self._guarded(self._listen)
        self._queue.close()
        sending.join()
        over: State = "stopped" if self._stop.is_set() else "done"
        self._tally.finish("failed" if self._error is not None else over)

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except TriptychError as error:
            self._error = self._error or error
        except Exception as error:  # noqa: BLE001 - the edge of the thread: one source must not stop the others
            _log.exception("source.failed", stream=self._plan.stream)
            self._error = self._error or error

    # --- listening ----------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Open the source again and again, until it has ended as a film does, or is told to stop."""
        backoff = Backoff(random.random)
        while not self._is_told_to_stop():
            known_ns = self._book.end_ns
            closed = self._attempt()
            for end in self._book.ends():
                self._queue.put(end, wait=False)
            if self._is_told_to_stop() or self._is_over(closed):
                return
            if self._book.end_ns > known_ns:
                backoff.reset()
            wait_s = backoff.wait_s()
            self._lost = closed.reason
            self._tally.waits()
            _log.warning("source.lost", stream=self._plan.stream, reason=closed.reason, next_attempt_s=round(wait_s, 1))
            self._stop.wait(wait_s)

    def _is_told_to_stop(self) -> bool:
        return self._stop.is_set() or self._error is not None

    def _is_over(self, closed: Closed) -> bool:
        """Return whether it ended as a film does; raise `UsageError` where nothing of it can ever be played.

        A film that is played for ever is waited for where it is away, as a live feed is.
        """
        if closed.is_hopeless:
            raise UsageError(closed.reason)
        if not self._is_film:
            return False
        if not closed.is_end and self._plan.loops:
            _log.warning("source.ended_early", stream=self._plan.stream, reason=closed.reason)
        return closed.is_end or self._plan.loops != 0

    @property
    def _is_film(self) -> bool:
        """Whether the source says how long it is."""
        return self._opened is not None and self._opened.duration_ns is not None

    def _attempt(self) -> Closed:
        """Start the source's process and listen to it until it closes, dies, hangs or is no longer wanted."""
        theirs: Connection
        ours, theirs = _SPAWN.Pipe(duplex=False)
        process = _SPAWN.Process(
            target=read_feed, args=(self._plan, self._book.free_ns, theirs), name=self.thread.name, daemon=True
        )
        with ours:
            process.start()
            theirs.close()
            try:
                return self._hear(ours)
            finally:
                _end(process)

    def _hear(self, pipe: Connection) -> Closed:
        limit_s = _START_S + OPEN_LIMIT_S + _MARGIN_S
        heard_ns = self._clock.monotonic_ns()
        while not self._is_told_to_stop():
            if not pipe.poll(_GLANCE_S):
                if self._clock.monotonic_ns() - heard_ns > limit_s * NS_PER_S:
                    return Closed(f"it has said nothing for {limit_s:.0f} s")
                continue
            try:
                message: FromFeed = pipe.recv()
            except (EOFError, OSError):
                return Closed("its process has died")
            heard_ns = self._clock.monotonic_ns()
            if isinstance(message, Closed):
                return message
            if isinstance(message, Opened):
                opens_again = message.duration_ns is not None and self._plan.loops != 1
                limit_s = READ_LIMIT_S + _MARGIN_S + OPEN_LIMIT_S * opens_again
            self._take(message)
        return Closed("told to stop")

    def _take(self, message: Opened | LateItems | LogMessage | InputRecord) -> None:
        if isinstance(message, Opened):
            if self._opened is None:
                self._opened = message
                self._tally.begin(self._plan.total_ns(message.duration_ns))
            else:
                self._tally.reconnects()
            self._has_begun.set()
        elif isinstance(message, LateItems):
            self._tally.late(message.items)
        elif isinstance(message, LogMessage):
            _log.log(_LEVELS[message.level], message.event, **message.details)
        else:
            self._say_gap(message)
            self._book.note(message)
            self._queue.put(message, wait=self._is_film)

    def _say_gap(self, record: InputRecord) -> None:
        """Name the time of which nothing is known, where this record is the first after a connection was lost."""
        if self._lost:
            gap_ns = record.start_ns - self._book.end_ns if self._book.end_ns else None
            if gap_ns is not None:
                self._tally.gap(gap_ns)
            _log.warning(
                "source.gap",
                stream=self._plan.stream,
                from_ns=self._book.end_ns,
                to_ns=record.start_ns,
                gap_s=None if gap_ns is None else round(gap_ns / NS_PER_S, 3),
                reason=self._lost,
            )
            self._lost = ""

    # --- sending ------------------------------------------------------------------------------------------------------

    def _send_all(self) -> None:
        """Send what is queued until nothing more comes; nobody waits for room where this has failed."""
        try:
            self._send_queued()
        finally:
            self._queue.close()

    def _send_queued(self) -> None:
        while not self._has_begun.wait(_GLANCE_S):
            if self._queue.is_over:
                return
        opened = self._opened
        if opened is None:
            return
        sender = Sender(self._publisher, self._tally, self._stop, start_at_ns=opened.start_at_ns)
        pacer = Pacer(self._plan.realtime and opened.duration_ns is not None, self._clock.monotonic_ns())
        seam = SessionBoundary()
        while not self._queue.is_over:
            record = self._queue.take(_GLANCE_S)
            if record is None:
                ready = seam.overdue(self._clock.monotonic_ns())
            else:
                if not self._stop.is_set():
                    due_ns = _known_ns(record) - opened.start_at_ns
                    self._clock.wait(self._stop, pacer.wait_ns(due_ns, monotonic_ns=self._clock.monotonic_ns()))
                ready = seam.join(record, self._clock.monotonic_ns())
            for joined in ready:
                sender.send(joined)
        for end in seam.rest():
            sender.send(end)


def _known_ns(record: InputRecord) -> int:
    return record.end_ns if isinstance(record, AudioChunk) else record.start_ns


def _end(process: SpawnProcess) -> None:
    """End the process: it holds nothing that must be put away, and may hang where no polite word reaches it."""
    process.join(0 if process.is_alive() else _GRACE_S)
    if process.is_alive():
        process.kill()
        process.join()
    process.close()
