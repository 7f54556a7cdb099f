"""An open media file or URL: the tracks to play, its start time, its stated duration, and its packets."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from typing import Any, Final, NamedTuple, Self, TypeVar

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.subtitles.stream import SubtitleStream
from av.video.stream import VideoStream

from triptych.producers.media.pixel_aspect import PixelAspect
from triptych.producers.session_timeline import TickScale, ticks_to_ns
from triptych.producers.sources.inspection import encrypted, is_scrambled, unfinished
from triptych.producers.sources.source import FileSource, Source
from triptych.producers.sources.track_selection import TrackInfo, best_audio, best_subtitles, best_video
from triptych.producers.subtitles.cea608 import carries_captions
from triptych.producers.subtitles.codecs import CAPTION_TRACK_CODEC, TEXT_CODECS, codec_name
from triptych.producers.subtitles.encoding import decode_text
from triptych.producers.subtitles.language import language_of
from triptych.producers.subtitles.timed_text_xml import is_ttml
from triptych.schemas.errors import UsageError
from triptych.schemas.names import Modality
from triptych.units import NS_PER_S

_S = TypeVar("_S", bound=Stream)
_DURATION_TAG: Final = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_AV_TIME_BASE: Final = Fraction(1, av.time_base)
_PROBED_PACKETS: Final = 200
_TIMED_OUT: Final = "nothing came within the time limit"


class PlayedTrack(NamedTuple):
    """A track of video or audio that is played, and the scale of its timestamps."""

    modality: Modality
    scale: TickScale


class MediaFile:
    """An open source; a context manager. Tracks that are not played are not even demuxed.

    Attributes:
        video: the video track to play.
        audio: the audio track to play.
        played: both by the index of their stream.
        pixel_aspect: the shape of the pixels of the video.
        text_track: the text track in the wanted language, or the next best.
        read_error: the error that ended reading before the end of the source.
    """

    def __init__(self, container: InputContainer, source: Source, wanted_language: str) -> None:
        self._container = container
        self._source = source
        streams = container.streams
        self.video: VideoStream | None = _track_with(streams.video, best_video(_track_infos(streams.video)))
        self.audio: AudioStream | None = _track_with(streams.audio, best_audio(_track_infos(streams.audio)))
        tracks: dict[Modality, Stream | None] = {"video": self.video, "audio": self.audio}
        self.played = {
            stream.index: PlayedTrack(modality, TickScale(stream.time_base or _AV_TIME_BASE))
            for modality, stream in tracks.items()
            if stream is not None
        }
        self.pixel_aspect = None if self.video is None else PixelAspect(self.video)
        self.text_track: SubtitleStream | None = self._select_text_track(wanted_language)
        self.read_error: str | None = None
        self._read_ahead: deque[Packet[Stream]] = deque()
        self._demuxed = self._demux()

    @classmethod
    def open(cls, source: Source, wanted_language: str) -> Self:
        """Open a source and select its tracks.

        Raises:
            UsageError: the source cannot be opened, is encrypted, or has neither video nor audio.
        """
        try:
            container = av.open(
                source.location,
                "r",
                format=source.format,
                options=dict(source.options),
                metadata_errors="replace",
                timeout=source.timeouts_s,
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = unfinished(source.location) if isinstance(source, FileSource) else None
            reason = reason or _reason(error)
            raise UsageError(f"{source.label}: expected a {source.kind} that can be played, got: {reason}") from None
        if isinstance(source, FileSource) and is_scrambled(source.location):
            container.close()
            raise UsageError(encrypted(source.label, source.kind))
        media = cls(container, source, wanted_language)
        if media.video is None and media.audio is None:
            media.close()
            reason = (unfinished(source.location) if isinstance(source, FileSource) else None) or "found neither"
            raise UsageError(f"{source.label}: expected a {source.kind} with video or audio, {reason}")
        return media

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and its decoders."""
        self._container.close()

    def unread_subtitles(self) -> Iterator[tuple[str, str]]:
        """Yield the codec of each subtitle track that cannot be read as text, and the reason."""
        for stream in self._container.streams.subtitles:
            name = codec_name(stream)
            if name is None and self._may_be_ttml(stream):
                yield "unknown", "neither TTML nor a format that FFmpeg decodes"
            elif name is None and not self._is_text(stream):
                yield "teletext", "this build of FFmpeg does not decode teletext"
            elif not self._is_text(stream):
                yield str(name), "bitmap subtitles hold no text"

    def has_readable_text(self) -> bool:
        """Return whether the text track is text. One without a decoder is, in MP4, where its first packet is TTML."""
        track = self.text_track
        if track is None or not self._may_be_ttml(track):
            return track is not None
        first = next(self._probe(track.index), None)
        return first is not None and is_ttml(decode_text(bytes(first)).text)

    @property
    def is_hls(self) -> bool:
        """Whether this is an HLS channel, whose subtitles FFmpeg announces and never yields."""
        return str(self._container.format.name) == "hls"

    @property
    def origin_ns(self) -> int:
        """The earliest start time of the video and audio that are played, in container time."""
        starts = [_ticks_to_ns(stream.start_time, stream) for stream in self._played() if stream.start_time is not None]
        if starts:
            return min(starts)
        start: int | None = self._container.start_time
        return 0 if start is None else ticks_to_ns(start, _AV_TIME_BASE)

    @property
    def duration_ns(self) -> int | None:
        """The stated duration of video and audio, from `origin_ns`; None where the file states none."""
        ends = [end for stream in self._played() if (end := _stated_end_ns(stream)) is not None]
        if ends:
            return max(ends) - self.origin_ns
        duration = self._container.duration
        return None if duration is None else ticks_to_ns(duration, _AV_TIME_BASE)

    def packets(self, *, with_text: bool) -> Iterator[Packet[Stream]]:
        """Return the packets in the file's order. An error that ends reading is stored in `read_error`."""
        read_ahead = (self._read_ahead.popleft() for _ in range(len(self._read_ahead)))
        packets = chain(read_ahead, self._demuxed)
        if with_text or self.text_track is None:
            return packets
        text = self.text_track.index
        return (packet for packet in packets if packet.stream_index != text)

    def has_captions(self) -> bool:
        """Return whether the first frames carry captions. The packets read for this are kept for playback."""
        return self.video is not None and carries_captions(self.video, self._probe(self.video.index))

    def _probe(self, index: int) -> Iterator[Packet[Any]]:
        for packet in self._demuxed:
            self._read_ahead.append(packet)
            if packet.stream_index == index:
                yield packet
            if len(self._read_ahead) >= _PROBED_PACKETS:
                return

    def _demux(self) -> Iterator[Packet[Stream]]:
        played: list[Stream] = [*self._played()]
        if self.text_track is not None:
            played.append(self.text_track)
        try:
            packets = self._container.demux(*played)
            stale_s = self._source.stale_after_s
            for packet in packets if stale_s is None else self._until_stale(packets, stale_s):
                if packet.has_sidedata("encryption_info"):
                    raise UsageError(encrypted(self._source.label, self._source.kind))
                if packet.size:
                    yield packet
        except IndexError:
            # The end. There PyAV asks each track for what it still holds, also those that appeared in mid-stream, of
            # which it has no list: where the tracks of a transport stream change, or files with others were joined.
            return
        except (av.error.FFmpegError, OSError) as error:
            self.read_error = _reason(error)

    def _until_stale(self, packets: Iterator[Packet[Stream]], stale_s: float) -> Iterator[Packet[Stream]]:
        """Yield packets up to the first one that comes after the time limit."""
        asked_s = time.monotonic()
        for packet in packets:
            if time.monotonic() - asked_s > stale_s:
                self.read_error = _TIMED_OUT
                return
            yield packet
            asked_s = time.monotonic()

    def _select_text_track(self, wanted: str) -> SubtitleStream | None:
        texts = [] if self.is_hls else [each for each in self._container.streams.subtitles if self._is_text(each)]
        captions = [stream for stream in texts if codec_name(stream) == CAPTION_TRACK_CODEC]
        preferred = [stream for stream in texts if stream not in captions] or captions
        return _track_with(preferred, best_subtitles(_track_infos(preferred), wanted))

    def _is_text(self, stream: SubtitleStream) -> bool:
        """Return whether a track holds text. Of the tracks without a decoder only Matroska's do: its WebVTT."""
        name = codec_name(stream)
        is_webvtt = name is None and "matroska" in self._container.format.name
        return name in TEXT_CODECS or name == CAPTION_TRACK_CODEC or is_webvtt or self._may_be_ttml(stream)

    def _may_be_ttml(self, stream: SubtitleStream) -> bool:
        """Return whether a track is of MP4 and has no decoder."""
        return codec_name(stream) is None and "mp4" in self._container.format.name

    def _played(self) -> list[VideoStream | AudioStream]:
        return [stream for stream in (self.video, self.audio) if stream is not None]


def _reason(error: Exception) -> str:
    """Return the reason of an error. For a timeout FFmpeg says only "exit requested"."""
    if isinstance(error, av.error.ExitError):
        return _TIMED_OUT
    if isinstance(error, av.error.ProtocolNotFoundError):
        return "Protocol not found: this build of FFmpeg does not support it"
    if isinstance(error, ValueError) and str(error).startswith("no container format"):
        return f"{error}: this build of FFmpeg has no such device"
    return getattr(error, "strerror", None) or str(error)


def _track_with(streams: Iterable[_S], info: TrackInfo | None) -> _S | None:
    if info is None:
        return None
    return next(stream for stream in streams if stream.index == info.index)


def _track_infos(streams: Iterable[Stream]) -> list[TrackInfo]:
    return [_track_info(stream) for stream in streams]


def _track_info(stream: Stream) -> TrackInfo:
    context = getattr(stream, "codec_context", None)
    return TrackInfo(
        index=stream.index,
        decodable=context is not None,
        default=bool(stream.disposition & Disposition.default),
        forced=bool(stream.disposition & Disposition.forced),
        cover=bool(stream.disposition & Disposition.attached_pic),
        area=getattr(context, "width", 0) * getattr(context, "height", 0),
        channels=getattr(context, "channels", 0) if stream.type == "audio" else 0,
        sample_rate_hz=getattr(context, "sample_rate", 0) if stream.type == "audio" else 0,
        language=language_of(stream.metadata.get("language")),
    )


def _ticks_to_ns(ticks: int, stream: Stream) -> int:
    return ticks_to_ns(ticks, stream.time_base or _AV_TIME_BASE)


def _stated_end_ns(stream: VideoStream | AudioStream) -> int | None:
    start_ns = _ticks_to_ns(stream.start_time or 0, stream)
    if stream.duration is not None:
        return start_ns + _ticks_to_ns(stream.duration, stream)
    tag = _DURATION_TAG.match(stream.metadata.get("DURATION", ""))
    if tag is None:
        return None
    hours, minutes, seconds = tag.groups()
    return round((int(hours) * 3_600 + int(minutes) * 60 + Fraction(seconds)) * NS_PER_S)
