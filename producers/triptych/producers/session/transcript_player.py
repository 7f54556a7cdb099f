"""The player of text that is transcribed from the audio of the same source.

Its watermark is the first audio that has not been transcribed. So a window waits for its text, and no text is late.
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

_WARN_INTERVAL_NS: Final = 60 * NS_PER_S
LIVE_DRAIN_TIMEOUT_S: Final = 5.0
"""How long the end of a live session waits for the last of its text."""


class TranscriptPlayer:
    """Play the transcript of a pass. The audio comes from the player of the audio track."""

    def __init__(
        self,
        cutter: UtteranceCutter,
        transcription: TranscriptionThread,
        records: TrackRecords,
        audio: TrackRecords,
        *,
        is_live: bool,
    ) -> None:
        """Transcribe a pass.

        Args:
            cutter: cuts the audio into utterances.
            transcription: the thread that turns utterances into cues.
            records: the records of the text.
            audio: the records of the audio, whose watermark tells where no more audio comes.
            is_live: whether to drop speech rather than wait for the thread.
        """
        self._cutter = cutter
        self._transcription = transcription
        self._records = records
        self._audio = audio
        self._is_live = is_live
        self._has_audio = False
        self._reported_ns = transcription.dropped_ns
        self.end_ns = cutter.read_ns

    def add_audio(self, chunk: PcmChunk) -> None:
        """Take a chunk of the audio that is played."""
        self._has_audio = True
        self._put(self._cutter.feed(chunk))

    def feed(self, packet: Packet[Any]) -> Iterator[InputRecord]:
        """Yield nothing: the text comes from the audio."""
        del packet
        yield from ()

    def advance(self, position_ns: int) -> Iterator[InputRecord]:
        """Yield the text that was transcribed since, or report how far the audio was transcribed."""
        del position_ns
        if self._audio.watermark_ns > self._cutter.read_ns:
            self._put(self._cutter.skip_to(self._audio.watermark_ns))
        yield from self._due()
        self._report_dropped_speech(at_least_ns=_WARN_INTERVAL_NS if self._reported_ns else 0)
        if self._has_audio and self._records.progress_due(self._cutter.read_ns):
            yield self._records.progress(self._cutter.read_ns, self._watermark_ns())

    def finish(self, end_ns: int) -> Iterator[InputRecord]:
        """Yield the rest of the text. Block until it is transcribed; in a live session, not for long."""
        del end_ns
        self._put(self._cutter.skip_to(self._cutter.read_ns))
        self._transcription.drain(LIVE_DRAIN_TIMEOUT_S if self._is_live else None)
        yield from self._due()
        self._report_dropped_speech(at_least_ns=0)

    def _report_dropped_speech(self, *, at_least_ns: int) -> None:
        dropped_ns = self._transcription.dropped_ns
        if dropped_ns - self._reported_ns > at_least_ns:
            self._reported_ns = dropped_ns
            reason = "speech arrives faster than it can be transcribed"
            _log.warning("transcription_dropped", speech_s=dropped_ns // NS_PER_S, reason=reason)

    def _put(self, utterances: Iterable[Utterance]) -> None:
        for utterance in utterances:
            self._transcription.put(utterance, wait=not self._is_live)

    def _due(self) -> Iterator[InputRecord]:
        while (transcribed := self._transcription.take()) is not None:
            following = [cue.start_ns for cue in transcribed.cues[1:]]
            for cue, watermark_ns in zip(transcribed.cues, [*following, self._watermark_ns()], strict=False):
                record = self._records.cue(cue, watermark_ns)
                if record is not None:
                    yield record

    def _watermark_ns(self) -> int:
        """Return where the first audio begins that is not transcribed."""
        earliest_pending_ns = self._transcription.earliest_pending_ns
        return (
            self._cutter.watermark_ns
            if earliest_pending_ns is None
            else min(earliest_pending_ns, self._cutter.watermark_ns)
        )
