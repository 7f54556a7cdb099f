"""A source as packets: opened, reopened for each pass, its timestamp jumps detected.

A `SourceReader` lives as long as the source. What lives as long as one session is in `session.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import structlog
from av.packet import Packet

from triptych.producers.media.audio_timestamps import AudioTimestamps
from triptych.producers.media.decoding import TrackDecoder
from triptych.producers.media.downmix import Downmix
from triptych.producers.media.jump_detector import Jump, JumpDetector
from triptych.producers.session.rendition_player import RenditionProgress
from triptych.producers.session.text_source import TextSource, find_text_sources
from triptych.producers.sources.media_file import MediaFile
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.sources.source import UrlSource
from triptych.producers.speech.recogniser import Recogniser
from triptych.producers.speech.transcription_thread import Recognise, TranscriptionThread
from triptych.producers.status.losses import Losses
from triptych.producers.subtitles.language import DEFAULT_LANGUAGE
from triptych.producers.subtitles.text_faults import TextFaults
from triptych.schemas.errors import UsageError
from triptych.schemas.names import MODALITIES, Modality
from triptych.units import NS_PER_S

_log = structlog.get_logger(__name__)
_MAX_MISSING_NS: Final = NS_PER_S
"""A file that ends earlier than this before its stated duration is reported as truncated."""


class SourceReader:
    """Read the packets of one source, pass after pass.

    Attributes:
        plan: what is played, and how.
        media: the open file. Each pass opens it again.
        text: where the subtitles come from, and may come from later.
        text_faults: what of the subtitles could not be read.
        decoders: of video and audio.
        downmix: mixes the channels of the audio.
        duration_ns: the duration of one pass as the source states it; None for a live feed.
        reopen_failed: whether the source could not be opened for another pass.
    """

    def __init__(self, plan: PlaybackPlan, recognise: Recognise | None) -> None:
        """Open the source.

        Args:
            plan: what to play, and how.
            recognise: the speech recogniser; None to load the model that the plan names.

        Raises:
            UsageError: the source cannot be opened, or has nothing to play.
        """
        self.plan = plan
        self.text_faults = TextFaults()
        self.media = self._open()
        try:
            self.text = find_text_sources(plan, self.media, self.text_faults)
        except UsageError:
            self.media.close()
            raise
        self._recognise = recognise
        self._transcription: TranscriptionThread | None = None
        self.duration_ns = self.media.duration_ns
        self.downmix = Downmix(plan.stream)
        self.reopen_failed = False
        self.decoders: dict[Modality, TrackDecoder] = {
            "video": TrackDecoder(is_live=self.is_live),
            "audio": TrackDecoder(is_live=self.is_live, on_frame=self._observe_audio),
        }
        self._read_stamps = self._played_stamps = AudioTimestamps()
        self._resync = False
        self._misplaced = 0
        self._detector: JumpDetector[Packet[Any]] = JumpDetector()

    def close(self) -> None:
        """Close the file, and end the transcription thread."""
        if self._transcription is not None:
            self._transcription.close()
        self.text.close()
        self.media.close()

    @property
    def text_source(self) -> TextSource | None:
        """Where the subtitles come from now."""
        return self.text.current

    @property
    def transcription(self) -> TranscriptionThread:
        """The thread that turns speech into text, which starts when it is first asked for."""
        if self._transcription is None:
            self._transcription = _start_transcription(self.plan, self._recognise)
        return self._transcription

    @property
    def tracks(self) -> tuple[Modality, ...]:
        """The modalities that this source has."""
        has = {"video": self.media.video, "audio": self.media.audio, "subtitles": self.text_source}
        return tuple(modality for modality in MODALITIES if has[modality] is not None)

    @property
    def is_live(self) -> bool:
        """Whether the source has no end, and so no second pass."""
        return self.duration_ns is None and isinstance(self.plan.source, UrlSource)

    @property
    def losses(self) -> Losses:
        """The packets that had wrong timestamps or could not be decoded, and the speech that was not transcribed."""
        broken = sum(decoder.broken for decoder in self.decoders.values())
        untranscribed_ns = 0 if self._transcription is None else self._transcription.dropped_ns
        misplaced = self._misplaced + self._detector.dropped
        return Losses(misplaced=misplaced, broken=broken, untranscribed_ns=untranscribed_ns)

    @property
    def decoder_error(self) -> str | None:
        """The first error of a decoder."""
        return next((decoder.reason for decoder in self.decoders.values() if decoder.reason), None)

    @property
    def failure(self) -> str:
        """Why there is nothing to play."""
        source, reason = self.plan.source, self.decoder_error or self.media.read_error or "it yields no video or audio"
        if isinstance(source, UrlSource):
            return f"{reason}; a film whose index lies at its end needs a server that answers ranges"
        return f"{reason}; in a pipe, the index of a film must lie at its beginning" if source.is_read_once else reason

    def check_decodable(self, *, has_ended: bool) -> None:
        """Check that what comes from the decoders is worth sending.

        Raises:
            UsageError: most packets of a track could not be decoded.
        """
        for modality, decoder in self.decoders.items():
            if decoder.broken and (decoder.fails_by_now or (has_ended and decoder.has_failed)):
                source = self.plan.source
                raise UsageError(
                    f"{source.label}: {decoder.broken} of {decoder.packets} packets of {modality} could not be decoded "
                    f"({decoder.reason}); the {source.kind} is damaged or encrypted"
                )

    def resync(self) -> None:
        """Report a jump at the next packet, whatever its timestamp."""
        self._resync = True

    def packets(self) -> Iterator[Packet[Any] | Jump]:
        """Yield the packets of one pass in the file's order, with a `Jump` wherever their timestamps jump."""
        self._misplaced += self._detector.dropped
        detector = self._detector = JumpDetector()
        # Each pass begins with the stated sample rate. The detector may hold packets until after the rate has changed.
        self._read_stamps, self._played_stamps = AudioTimestamps(), AudioTimestamps()
        played = self.media.played
        for packet in self.media.packets(with_text=self.text_source is self.media.text_track):
            track, dts = played.get(packet.stream_index), packet.dts
            if track is None or dts is None:
                yield packet
                continue
            at = self._read_stamps.correct(packet) if track.modality == "audio" else None
            at_ns = track.scale.ns(dts if at is None else at)
            if self._resync:
                self._resync = False
                yield Jump(at_ns)
            is_inner_frame = track.modality == "video" and not packet.is_keyframe
            for item in detector.feed(packet.stream_index, at_ns, packet, may_be_reordered=is_inner_frame):
                yield self._corrected(item)
        yield from map(self._corrected, detector.finish())

    def _corrected(self, item: Packet[Any] | Jump) -> Packet[Any] | Jump:
        if not isinstance(item, Jump) and self.media.played[item.stream_index].modality == "audio":
            at = self._played_stamps.correct(item)
            if at is not None:
                item.pts = item.dts = at
        return item

    def _observe_audio(self, frame: Any) -> None:  # noqa: ANN401 - an audio frame; PyAV's decoders do not say which
        self._read_stamps.observe(frame)
        self._played_stamps.observe(frame)

    def flush_decoders(self) -> None:
        """Discard what the decoders still hold, because the timestamps have jumped."""
        for decoder, stream in zip(self.decoders.values(), (self.media.video, self.media.audio), strict=True):
            if stream is not None:
                decoder.flush(stream)

    def reopen(self) -> bool:
        """Open the source again for the next pass, with fresh decoders; return False where that fails."""
        was_embedded = self.text_source is not None and self.text_source is self.media.text_track
        self.media.close()
        try:
            self.media = self._open()
        except UsageError as error:
            _log.warning("source_reopen_failed", stream=self.plan.stream, reason=str(error))
            self.reopen_failed = True
            return False
        if was_embedded:
            self.text.replace_current(self.media.text_track)
        elif isinstance(self.text_source, RenditionProgress):
            self.text_source.restart()
        return True

    def warn_if_truncated(self, read_ns: int) -> None:
        """Log a warning where the pass was broken off, or ended well before the stated duration.

        A live feed has no end to miss; the process that opened it reports why it was lost.
        """
        if self.is_live:
            return
        stated_ns = self.duration_ns
        is_truncated = stated_ns is not None and read_ns < stated_ns - _MAX_MISSING_NS
        if self.media.read_error is not None or is_truncated:
            _log.warning(
                "source_ended_early",
                stream=self.plan.stream,
                reason=self.media.read_error or "the file is truncated",
                read_s=read_ns / 1e9,
                stated_s=None if stated_ns is None else stated_ns / 1e9,
            )

    def log_unused_transcription(self) -> None:
        """Log why a source for which transcription was requested is not transcribed."""
        if self.plan.transcribe is not None and self.text_source != "transcribed":
            reason = "it has no audio" if self.media.audio is None else "it has subtitles of its own"
            _log.info("transcription_off", stream=self.plan.stream, reason=reason)

    def _open(self) -> MediaFile:
        return MediaFile.open(self.plan.source, self.plan.language or DEFAULT_LANGUAGE)


def _start_transcription(plan: PlaybackPlan, recognise: Recognise | None) -> TranscriptionThread:
    if recognise is not None or plan.transcribe is None:
        return TranscriptionThread(recognise or (lambda _: ()))
    recogniser = Recogniser(plan.transcribe, plan.language)
    return TranscriptionThread(recogniser, recogniser.prepare)
