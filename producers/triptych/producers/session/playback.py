"""Play one source: all its records in the order of the file, pass after pass, session after session.

A session ends where the timestamps jump, and another begins. Pacing and publishing come later; nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Self

import structlog

from triptych.producers.media.jump_detector import Jump
from triptych.producers.session.player_factory import build_players
from triptych.producers.session.session import OnPacket, Session
from triptych.producers.session.source_reader import SourceReader
from triptych.producers.session_timeline import SessionTimeline
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.speech.transcription_thread import Recognise
from triptych.producers.status.losses import Losses
from triptych.schemas.errors import UsageError
from triptych.schemas.names import Modality
from triptych.schemas.records import End, InputRecord

_log = structlog.get_logger(__name__)


class Playback:
    """Play one source. A context manager that holds the open file."""

    def __init__(
        self,
        plan: PlaybackPlan,
        *,
        next_start_ns: Callable[[int], int] | None = None,
        on_packet: OnPacket | None = None,
        recognise: Recognise | None = None,
    ) -> None:
        """Open the source.

        Args:
            plan: what to play, and how.
            next_start_ns: from the event time at which a session ends, returns that at which the next one begins.
            on_packet: called with the session, track and decoding timestamp of each video and audio packet.
            recognise: the speech recogniser; None to load the model that the plan names.

        Raises:
            UsageError: the source cannot be opened, or has nothing to play.
        """
        self._plan = plan
        self._next_start_ns = next_start_ns or (lambda end_ns: end_ns)
        self._on_packet = on_packet
        self._source = SourceReader(plan, recognise)
        self._session: Session | None = None
        self._earlier_losses = Losses()
        self._has_media = False
        self._has_split = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    @property
    def duration_ns(self) -> int | None:
        """The duration of one pass as the source states it; None for a live feed."""
        return self._source.duration_ns

    @property
    def tracks(self) -> tuple[Modality, ...]:
        """The modalities that this source announces."""
        return self._source.tracks

    @property
    def losses(self) -> Losses:
        """What was discarded so far."""
        return self._source.losses + self._session_losses() + Losses(text_faults=self._source.text_faults.total)

    @property
    def decoder_error(self) -> str | None:
        """The first error of a decoder."""
        return self._source.decoder_error

    @property
    def read_error(self) -> str | None:
        """The error that ended reading before the end of the source."""
        return self._source.media.read_error

    @property
    def reopen_failed(self) -> bool:
        """Whether the source could not be opened for another pass."""
        return self._source.reopen_failed

    def resync(self) -> None:
        """End the session at the next packet, and begin another."""
        self._source.resync()

    def records(self, start_at_ns: int) -> Iterator[InputRecord]:
        """Yield all records but the last session's `end` records.

        Args:
            start_at_ns: the event time at which the first session begins.

        Raises:
            UsageError: nothing in the source could be decoded, or most of it could not.
        """
        source, loops = self._source, 1 if self._source.is_live else self._plan.loops
        source.log_unused_transcription()
        session = self._begin_session(start_at_ns)
        passes = 0
        while passes == 0 or (passes != loops and session.next_pass_ns > session.pass_start_ns and source.reopen()):
            passes += 1
            session = yield from self._play_pass(session, last=passes == loops)
            if passes == 1 and not self._has_split:
                source.warn_if_truncated(session.media_end_ns - session.pass_start_ns)
        if not self._has_media and not session.has_media:
            raise UsageError(f"{self._plan.source.label}: nothing in it could be decoded ({source.failure})")
        source.check_decodable(has_ended=True)

    def ends(self) -> Iterator[End]:
        """Yield the `end` of each track at the current position; nothing where there is no media yet."""
        if self._session is not None:
            yield from self._session.ends()

    def _begin_session(self, start_at_ns: int) -> Session:
        self._earlier_losses = self._session_losses()
        self._session = Session(
            self._plan,
            self._source.tracks,
            start_at_ns,
            duration_ns=None if self._has_split else self._source.duration_ns,  # a jump makes the stated one worthless
            on_packet=self._on_packet,
        )
        return self._session

    def _play_pass(self, session: Session, *, last: bool) -> Generator[InputRecord, None, Session]:
        """Yield the records of one pass, interleaved as in the file; return the session in which it ends."""
        self._begin_pass(session, SessionTimeline(self._source.media.origin_ns, session.next_pass_ns), last=last)
        played = self._source.media.played
        for item in self._source.packets():
            if isinstance(item, Jump):
                yield from session.finish_pass()
                yield from session.ends()
                session = self._split(session)
                self._begin_pass(session, SessionTimeline(item.origin_ns, 0), last=last)
            else:
                yield from session.feed(item, played.get(item.stream_index))
                self._source.check_decodable(has_ended=False)
        yield from session.finish_pass()
        return session

    def _session_losses(self) -> Losses:
        return self._earlier_losses + (Losses() if self._session is None else self._session.losses)

    def _begin_pass(self, session: Session, timeline: SessionTimeline, *, last: bool) -> None:
        session.begin_pass(build_players(session, self._source, timeline, last_pass=last), timeline)

    def _split(self, ended: Session) -> Session:
        """Return a new session that follows one which has ended."""
        self._source.flush_decoders()
        end_ns = ended.earliest_successor_ns
        self._has_split = True
        self._has_media = self._has_media or ended.has_media
        session = self._begin_session(self._next_start_ns(end_ns))
        _log.warning(
            "session_split",
            stream=self._plan.stream,
            ended_ns=end_ns,
            begins_ns=session.start_at_ns,
            reason="the source's timestamps jumped, or drifted from the wall clock",
        )
        return session
