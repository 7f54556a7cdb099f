"""The process of one URL: it opens and reads the source, and sends the records to its parent through a pipe.

FFmpeg may hang in a call that no timeout reaches, or crash. In a process of its own neither affects the other feeds.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Final

import structlog

from triptych.producers.session.clock_measurement import LiveMeter, Meter, OnDemandMeter
from triptych.producers.session.playback import Playback
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.status.losses import Losses
from triptych.schemas.errors import UsageError
from triptych.schemas.records import InputRecord


@dataclass(frozen=True, slots=True)
class FeedOpened:
    """The source is open.

    Attributes:
        start_at_ns: the event time at which the first session begins.
        duration_ns: the duration of one pass; None for a live feed.
    """

    start_at_ns: int
    duration_ns: int | None


@dataclass(frozen=True, slots=True)
class FeedClosed:
    """The source yields no more records.

    Attributes:
        reason: why.
        is_permanent: whether another attempt would fail as well.
        is_complete: whether the source ended by itself, after all its passes or as far as it could be read.
        has_failed: whether what came could not be played.
    """

    reason: str
    is_permanent: bool = False
    is_complete: bool = False
    has_failed: bool = False


@dataclass(frozen=True, slots=True)
class MoreLosses:
    """More of the source was discarded.

    Attributes:
        losses: what was discarded since the last such message.
        reason: the first error of a decoder.
    """

    losses: Losses
    reason: str | None


@dataclass(frozen=True, slots=True)
class LogMessage:
    """A log entry of the process, for the parent to log."""

    event: str
    level: str
    details: Mapping[str, Any] = field(default_factory=dict)


FeedMessage = FeedOpened | InputRecord | FeedClosed | MoreLosses | LogMessage
"""What the process sends to its parent."""

_PERMANENT_ERRORS: Final = (
    "Protocol not found",
    "no container format",
    "found neither",
    "Invalid argument",
    "got an encrypted",
)


def run_feed_process(plan: PlaybackPlan, not_before_ns: int, pipe: Connection) -> None:
    """Read the source until it ends, and close the pipe. This is the main function of the process.

    The parent sends the `end` records of the last session, because the process may not live to do so. Those of a
    session that ends while the source goes on come through the pipe.

    Args:
        plan: what to play, and how.
        not_before_ns: the earliest event time for the first session, which otherwise begins now.
        pipe: where to send `FeedMessage` values.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and ends this process when it is ready
    _log_to(pipe)
    try:
        closed = _read(plan, not_before_ns, pipe)
        pipe.send(closed)
    except (BrokenPipeError, ConnectionResetError):
        return  # the parent has exited, or has closed the pipe
    finally:
        pipe.close()


def _read(plan: PlaybackPlan, not_before_ns: int, pipe: Connection) -> FeedClosed:
    try:
        live = LiveMeter(time.time_ns)
        with Playback(
            plan, next_start_ns=lambda end_ns: max(end_ns, time.time_ns()), on_packet=live.packet_arrived
        ) as playback:
            start_at_ns = _start_at_ns(plan, playback.duration_ns, not_before_ns)
            pipe.send(FeedOpened(start_at_ns, playback.duration_ns))
            _relay(playback, start_at_ns, live, pipe)
            is_complete = not (playback.reopen_failed and plan.loops == 0)
            return FeedClosed(playback.read_error or "the source has ended", is_complete=is_complete)
    except UsageError as error:
        is_permanent = any(text in str(error) for text in _PERMANENT_ERRORS)
        return FeedClosed(str(error), is_permanent=is_permanent, has_failed=True)


def _start_at_ns(plan: PlaybackPlan, duration_ns: int | None, not_before_ns: int) -> int:
    if plan.start_at_ns is not None and not not_before_ns:
        return plan.start_at_ns
    length_ns = 0 if plan.realtime else plan.total_ns(duration_ns) or 0
    return max(not_before_ns, time.time_ns() - length_ns)


def _relay(playback: Playback, start_at_ns: int, live: LiveMeter, pipe: Connection) -> None:
    """Send every record. Begin a new session where a live feed has drifted too far from the wall clock."""
    is_live, sent = playback.duration_ns is None, Losses()
    meter: Meter = live if is_live else OnDemandMeter()
    try:
        for record in playback.records(start_at_ns):
            pipe.send(meter.annotate(record))
            sent = _send_losses(playback, sent, pipe)
            if is_live and live.needs_new_session():
                playback.resync()
    finally:
        _send_losses(playback, sent, pipe)


def _send_losses(playback: Playback, sent: Losses, pipe: Connection) -> Losses:
    losses = playback.losses
    if losses != sent:
        pipe.send(MoreLosses(losses - sent, playback.decoder_error))
    return losses


def _log_to(pipe: Connection) -> None:
    def send(_: object, level: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        pipe.send(LogMessage(str(event.pop("event")), level, event))
        raise structlog.DropEvent

    structlog.configure(processors=[send], cache_logger_on_first_use=False)
