"""The player of words that a machine hears in the sound of the same source.

What it promises: nothing before the first sound that has not been turned into text. So a window waits for its text,
and no text comes late.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import structlog
from av.packet import Packet

from triptych.producers.media.audio import PcmChunk
from triptych.producers.session.track_records import TrackRecords
from triptych.producers.speech.transcription_thread import TranscriptionThread
from triptych.producers.speech.utterances import Utterance, UtteranceCutter
from triptych.schemas.records import InputRecord
from triptych.units import NS_PER_S

_log = structlog.get_logger(__name__)

_SAID_EVERY_NS: Final = 60 * NS_PER_S
LIVE_SETTLE_S: Final = 5.0
"""How long the end of a live session waits for the last of its text."""


class TranscriptPlayer:
    """Play what is heard. It is told of the sound by the player of the sound."""

    def __init__(
        self,
        cutter: UtteranceCutter,
        transcription: TranscriptionThread,
        records: TrackRecords,
        sound: TrackRecords,
        *,
        is_live: bool,
    ) -> None:
        """Hear a pass; `sound` are the records of the sound, whose promise says where none will come any more."""
        self._cutter = cutter
        self._transcription = transcription
        self._records = records
        self._sound = sound
        self._is_live = is_live
        self._has_heard = False
        self._said_ns = transcription.dropped_ns
        self.end_ns = cutter.read_ns

    def add_audio(self, sound: PcmChunk) -> None:
        """Take the sound that is played."""
        self._has_heard = True
        self._put(self._cutter.feed(sound))

    def feed(self, packet: Packet[Any]) -> Iterator[InputRecord]:
        """Take nothing: the words come out of the sound."""
        del packet
        yield from ()

    def advance(self, position_ns: int) -> Iterator[InputRecord]:
        """Yield the words that have been understood since, or say how far the sound has been heard."""
        del position_ns
        if self._sound.watermark_ns > self._cutter.read_ns:
            self._put(self._cutter.skip_to(self._sound.watermark_ns))
        yield from self._due()
        self._say_what_is_left_out(at_least_ns=_SAID_EVERY_NS if self._said_ns else 0)
        if self._has_heard and self._records.progress_due(self._cutter.read_ns):
            yield self._records.progress(self._cutter.read_ns, self._watermark_ns())

    def finish(self, end_ns: int) -> Iterator[InputRecord]:
        """Yield what has not been turned into text yet: wait for it, in a live session not for long."""
        del end_ns
        self._put(self._cutter.skip_to(self._cutter.read_ns))
        self._transcription.drain(LIVE_SETTLE_S if self._is_live else None)
        yield from self._due()
        self._say_what_is_left_out(at_least_ns=0)

    def _say_what_is_left_out(self, *, at_least_ns: int) -> None:
        dropped_ns = self._transcription.dropped_ns
        if dropped_ns - self._said_ns > at_least_ns:
            self._said_ns = dropped_ns
            reason = "speech comes faster than it can be turned into text"
            _log.warning("transcription_dropped", speech_s=dropped_ns // NS_PER_S, reason=reason)

    def _put(self, utterances: Iterable[Utterance]) -> None:
        for utterance in utterances:
            self._transcription.put(utterance, wait=not self._is_live)

    def _due(self) -> Iterator[InputRecord]:
        while (heard := self._transcription.take()) is not None:
            following = [cue.start_ns for cue in heard.cues[1:]]
            for cue, next_ns in zip(heard.cues, [*following, self._watermark_ns()], strict=False):
                record = self._records.cue(cue, next_ns)
                if record is not None:
                    yield record

    def _watermark_ns(self) -> int:
        """Return where the first sound begins that has not been turned into text."""
        earliest_pending_ns = self._transcription.earliest_pending_ns
        return (
            self._cutter.watermark_ns
            if earliest_pending_ns is None
            else min(earliest_pending_ns, self._cutter.watermark_ns)
        )
