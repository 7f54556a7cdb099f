"""Play one URL: watch and restart its process, end its sessions, queue and send its records.

Two threads: one reads the messages of the feed's process and fills a queue, the other paces and sends. So nothing stops
the reading of a live feed.
"""

from __future__ import annotations

import logging
import multiprocessing
import random
import threading
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from threading import Event
from typing import Final

import structlog

from triptych.producers.clock import RunningClock
from triptych.producers.live.backoff import Backoff
from triptych.producers.live.feed_process import (
    FeedClosed,
    FeedMessage,
    FeedOpened,
    LogMessage,
    MoreLosses,
    run_feed_process,
)
from triptych.producers.live.live_queue import LiveQueue
from triptych.producers.live.session_state import SessionState
from triptych.producers.pacing import RecordPacer
from triptych.producers.sending.dispatcher import RecordDispatcher
from triptych.producers.session.session_boundary import SessionBoundary
from triptych.producers.source_player import SourcePlayer
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.sources.source import OPEN_TIMEOUT_S, READ_TIMEOUT_S
from triptych.producers.status.losses import Losses, LossLog
from triptych.schemas.errors import UsageError
from triptych.schemas.records import InputRecord
from triptych.units import NS_PER_S

_log = structlog.get_logger(__name__)
_MARGIN_S: Final = 5.0
"""How much longer than FFmpeg's own timeouts the watchdog waits."""

_PROCESS_START_S: Final = 20.0
"""How long the process may take to start."""

_POLL_INTERVAL_S: Final = 0.2
_EXIT_TIMEOUT_S: Final = 2.0
_LEVELS: Final = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}
_SPAWN: Final = multiprocessing.get_context("spawn")


class LivePlayer(SourcePlayer):
    """Play one URL until it has ended or `stop` is set. A feed that is lost is opened again."""

    def __init__(self, plan: PlaybackPlan, dispatcher: RecordDispatcher, clock: RunningClock, stop: Event) -> None:
        super().__init__(plan, dispatcher, clock, stop)
        self._queue = LiveQueue()
        self._losses = Losses()
        self._loss_log = LossLog(plan.stream)
        self._session_state = SessionState()
        self._opened: FeedOpened | None = None
        self._has_opened = Event()
        self._loss_reason = ""
        self._was_suspended = False

    def _play(self) -> None:
        """Read in this thread and send in another."""
        sending = threading.Thread(
            target=self._guard, args=(self._send_and_close_queue,), name=self.thread.name, daemon=True
        )
        sending.start()
        self._guard(self._read_until_over)
        self._queue.close()
        sending.join()

    # --- reading ------------------------------------------------------------------------------------------------------

    def _read_until_over(self) -> None:
        """Open the source, again and again where it is lost, until it has ended or must stop."""
        backoff = Backoff(random.random)
        while not self._must_stop():
            before_ns = self._session_state.end_ns
            closed = self._run_process()
            for end in self._session_state.ends():
                self._queue.put(end, wait=False)
            if self._must_stop() or self._is_over(closed):
                return
            if self._session_state.end_ns > before_ns:
                backoff.reset()
            delay_s = backoff.next_delay_s()
            self._loss_reason = closed.reason
            self._counters.waits()
            _log.warning(
                "source_lost", stream=self._plan.stream, reason=closed.reason, next_attempt_s=round(delay_s, 1)
            )
            self._stop.wait(delay_s)

    def _must_stop(self) -> bool:
        return self._stop.is_set() or self._error is not None

    def _is_over(self, closed: FeedClosed) -> bool:
        """Return whether the source has ended for good. An on-demand source that loops for ever never has.

        Raises:
            UsageError: nothing of the source can ever be played.
        """
        if closed.is_permanent:
            raise UsageError(closed.reason)
        if not self._is_on_demand:
            return False
        if self._plan.loops and (closed.has_failed or not self._session_state.end_ns):
            raise UsageError(self._in_terms_of_source(closed.reason))
        if not closed.is_complete and self._plan.loops:
            _log.warning("source_ended_early", stream=self._plan.stream, reason=closed.reason)
        return closed.is_complete or self._plan.loops != 0

    def _in_terms_of_source(self, reason: str) -> str:
        label = self._plan.source.label
        return reason if label in reason else f"{label}: nothing of it could be played: {reason}"

    @property
    def _is_on_demand(self) -> bool:
        """Whether the source states its duration, as a file on a web server does."""
        return self._opened is not None and self._opened.duration_ns is not None

    def _run_process(self) -> FeedClosed:
        """Start the feed's process, and read its messages until it closes, dies, hangs or must stop."""
        child_end: Connection
        parent_end, child_end = _SPAWN.Pipe(duplex=False)
        process = _SPAWN.Process(
            target=run_feed_process,
            args=(self._plan, self._session_state.next_session_ns, child_end),
            name=self.thread.name,
            daemon=True,
        )
        with parent_end:
            process.start()
            child_end.close()
            try:
                return self._read_messages(parent_end)
            finally:
                _end(process)

    def _read_messages(self, pipe: Connection) -> FeedClosed:
        timeout_s = _PROCESS_START_S + OPEN_TIMEOUT_S + _MARGIN_S
        received_ns, suspended_ns = self._clock.monotonic_ns(), self._clock.suspended_ns
        while not self._must_stop():
            missed_ns = self._clock.suspended_ns - suspended_ns
            if missed_ns and not self._is_on_demand:
                self._was_suspended = True
                return FeedClosed(f"this program was suspended for {missed_ns / NS_PER_S:.1f} s")
            if not pipe.poll(_POLL_INTERVAL_S):
                if self._clock.monotonic_ns() - received_ns > timeout_s * NS_PER_S:
                    return FeedClosed(f"its process sent nothing for {timeout_s:.0f} s")
                continue
            try:
                message: FeedMessage = pipe.recv()
            except (EOFError, OSError):
                return FeedClosed("its process has died")
            received_ns = self._clock.monotonic_ns()
            if isinstance(message, FeedClosed):
                return message
            if isinstance(message, FeedOpened):
                opens_again = message.duration_ns is not None and self._plan.loops != 1
                timeout_s = READ_TIMEOUT_S + _MARGIN_S + OPEN_TIMEOUT_S * opens_again
            self._handle(message)
        return FeedClosed("stopped")

    def _handle(self, message: FeedOpened | MoreLosses | LogMessage | InputRecord) -> None:
        if isinstance(message, FeedOpened):
            if self._opened is None:
                self._opened = message
                self._counters.begin(self._plan.total_ns(message.duration_ns))
            else:
                self._counters.reconnects()
            self._has_opened.set()
        elif isinstance(message, MoreLosses):
            self._losses += message.losses
            self._counters.losses(self._losses)
            self._loss_log.show(self._losses, reason=message.reason)
        elif isinstance(message, LogMessage):
            _log.log(_LEVELS[message.level], message.event, **message.details)
        else:
            self._report_gap(message)
            self._session_state.observe(message)
            self._queue.put(message, wait=self._is_on_demand)

    def _report_gap(self, record: InputRecord) -> None:
        """Log and count the gap before a record that is the first one after a lost connection."""
        if not self._loss_reason:
            return
        from_ns = self._session_state.end_ns
        gap_ns = record.start_ns - from_ns if from_ns else None
        if gap_ns is not None:
            self._counters.gap(gap_ns)
        if self._was_suspended:
            self._was_suspended = False
            for modality in record.tracks:
                self._counters.track_gap(modality, "suspended")
        _log.warning(
            "source_gap",
            stream=self._plan.stream,
            from_ns=from_ns,
            to_ns=record.start_ns,
            gap_s=None if gap_ns is None else round(gap_ns / NS_PER_S, 3),
            reason=self._loss_reason,
        )
        self._loss_reason = ""

    # --- sending ------------------------------------------------------------------------------------------------------

    def _send_and_close_queue(self) -> None:
        try:
            self._send_queued()
        finally:
            self._queue.close()  # where sending has failed, nothing makes room for the reading thread any more

    def _send_queued(self) -> None:
        """Send queued records until the queue is closed and empty."""
        while not self._has_opened.wait(_POLL_INTERVAL_S):
            if self._queue.is_over:
                return
        opened = self._opened
        if opened is None:
            return
        is_live = opened.duration_ns is None
        drops = is_live or self._plan.realtime
        sender = self._open_sender(start_at_ns=opened.start_at_ns, drops=drops)
        realtime = self._plan.realtime and not is_live
        pacer = RecordPacer(self._clock, self._stop, realtime=realtime, start_at_ns=opened.start_at_ns)
        boundary = SessionBoundary()
        while not self._queue.is_over:
            record = self._queue.take(_POLL_INTERVAL_S)
            if record is None:
                ready = boundary.release_overdue(self._clock.monotonic_ns())
            else:
                paced = pacer.pace(record)
                if paced.is_missed:
                    sender.skip(paced.record)
                    continue
                ready = boundary.push(paced.record, self._clock.monotonic_ns())
            for each in ready:
                sender.send(each)
        for end in boundary.release_all():
            sender.send(end)


def _end(process: SpawnProcess) -> None:
    """Kill the process if it does not exit. It holds nothing that must be saved, and may ignore a polite signal."""
    process.join(0 if process.is_alive() else _EXIT_TIMEOUT_S)
    if process.is_alive():
        process.kill()
        process.join()
    process.close()
