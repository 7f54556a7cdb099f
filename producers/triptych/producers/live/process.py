"""The process of one live source: opens it, reads it, and hands its records to its parent through a pipe.

FFmpeg may hang in a call that no time limit reaches, or take the process down: here that harms nobody else.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import structlog

from triptych.producers.session.clock_measurement import FilmMeter, LiveMeter, Meter
from triptych.producers.session.playback import Playback
from triptych.producers.sources.plan import PlaybackPlan
from triptych.schemas.errors import UsageError
from triptych.schemas.records import InputRecord


@dataclass(frozen=True, slots=True)
class Opened:
    """The source is open; `duration_ns` is known of what has an end, such as a film on a web server."""

    start_at_ns: int
    duration_ns: int | None


@dataclass(frozen=True, slots=True)
class Closed:
    """The source gives no more.

    Attributes:
        reason: why.
        is_hopeless: another attempt cannot help.
        is_end: it ended by itself, after all its passes or as far as it could be read.
    """

    reason: str
    is_hopeless: bool = False
    is_end: bool = False


@dataclass(frozen=True, slots=True)
class LateItems:
    """So many more items came too late to keep a promise, and were left out or cut."""

    items: int


@dataclass(frozen=True, slots=True)
class LogMessage:
    """A line for the log."""

    event: str
    level: str
    details: Mapping[str, Any] = field(default_factory=dict)


FromFeed = Opened | InputRecord | Closed | LateItems | LogMessage

_HOPELESS = ("Protocol not found", "no container format", "found neither", "Invalid argument")


def read_feed(plan: PlaybackPlan, not_before_ns: int, pipe: Connection) -> None:
    """Read the source until it ends, and close the pipe; the main function of the process.

    The first session begins now, or at `not_before_ns` if that is later. The records of a session come without its
    `end` records, which are the parent's to send, but for a session that ends while the source goes on.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told too, and ends this process when it is ready
    _log_through(pipe)
    try:
        closed = _read(plan, not_before_ns, pipe)
        pipe.send(closed)
    except (BrokenPipeError, ConnectionResetError):
        return  # the parent is gone, or has had enough
    finally:
        pipe.close()


def _read(plan: PlaybackPlan, not_before_ns: int, pipe: Connection) -> Closed:
    try:
        live = LiveMeter(time.time_ns)
        with Playback(plan, next_start_ns=lambda end_ns: max(end_ns, time.time_ns()), on_packet=live.came) as playback:
            start_at_ns = _start_at_ns(plan, playback.duration_ns, not_before_ns)
            pipe.send(Opened(start_at_ns, playback.duration_ns))
            _relay(playback, start_at_ns, live, pipe)
            return Closed(playback.problem or "it has ended", is_end=not (playback.is_gone and plan.loops == 0))
    except UsageError as error:
        return Closed(str(error), is_hopeless=any(sign in str(error) for sign in _HOPELESS))


def _start_at_ns(plan: PlaybackPlan, duration_ns: int | None, not_before_ns: int) -> int:
    if plan.start_at_ns is not None and not not_before_ns:
        return plan.start_at_ns
    length_ns = 0 if plan.realtime else plan.total_ns(duration_ns) or 0
    return max(not_before_ns, time.time_ns() - length_ns)


def _relay(playback: Playback, start_at_ns: int, live: LiveMeter, pipe: Connection) -> None:
    """Send every record; where a live feed runs away from the wall clock, begin a new session."""
    is_live, late = playback.duration_ns is None, 0
    meter: Meter = live if is_live else FilmMeter()
    for record in playback.records(start_at_ns):
        pipe.send(meter.stamped(record))
        if playback.behind > late:
            pipe.send(LateItems(playback.behind - late))
            late = playback.behind
        if is_live and live.has_run_away():
            playback.resync()


def _log_through(pipe: Connection) -> None:
    def say(_: object, level: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        pipe.send(LogMessage(str(event.pop("event")), level, event))
        raise structlog.DropEvent

    structlog.configure(processors=[say], cache_logger_on_first_use=False)
