"""Read video packets: decode as little as the selected frames need, and track what the decoder still holds."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
from av.packet import Packet
from av.video.stream import VideoStream

from triptych.producers.media.decoding import DECODER_ERRORS, TrackDecoder
from triptych.producers.media.jpeg import JpegEncoder
from triptych.producers.media.pixel_aspect import PixelAspect
from triptych.producers.media.sampling import Sampler
from triptych.producers.session_timeline import SessionTimeline, ticks_to_ns
from triptych.producers.subtitles.cea608 import CaptionReader
from triptych.units import NS_PER_S

_DEFAULT_FPS: Final = 25


@dataclass(frozen=True, slots=True)
class SampledFrame:
    """One selected frame as JPEG, at its session time."""

    at_ns: int
    jpeg: bytes
    width: int
    height: int


class VideoReader:
    """Read one pass over one video track. Every decoded frame also goes to the caption reader, if there is one.

    Attributes:
        end_ns: the session time at which the last frame ends.
        late_frames: frames behind one that came before them, which are not sent.
    """

    def __init__(
        self,
        stream: VideoStream,
        timeline: SessionTimeline,
        *,
        decoder: TrackDecoder,
        sampler: Sampler,
        encoder: JpegEncoder,
        pixel_aspect: PixelAspect,
        captions: CaptionReader | None = None,
    ) -> None:
        self._stream = stream
        self._timeline = timeline
        self._decoder = decoder
        self._sampler = sampler
        self._encoder = encoder
        self._pixel_aspect = pixel_aspect
        self._captions = captions
        # Such as Motion JPEG, of many cameras, and ProRes: the decoder skips none of their frames by itself.
        self._is_intra_only = stream.codec_context.codec.intra_only
        self._time_base: Fraction | None = None
        self._frame_duration_ns = round(NS_PER_S / (stream.average_rate or _DEFAULT_FPS))
        self._in_decoder: list[int] = []
        self._next_frame_ns = timeline.base_ns
        self._latest_ns = timeline.base_ns
        self.end_ns = timeline.base_ns
        self.late_frames = 0

    def feed(self, packet: Packet[VideoStream]) -> Iterator[SampledFrame]:
        """Yield the selected frames that this packet completes."""
        if self._can_skip(packet):
            return
        is_needed = True
        # A packet that an edit list discards may still be a reference.
        if packet.pts is not None and not packet.is_discard:
            at_ns = self._timeline.at(packet.pts, self._time_base_of(packet))
            self.end_ns = max(self.end_ns, at_ns + self._duration_ns(packet))
            heapq.heappush(self._in_decoder, at_ns)
            is_needed = self._sampler.may_take(at_ns)
        is_needed = is_needed or (
            self._captions is not None and self._captions.is_wanted
        )  # any frame may carry captions
        # Reference frames are always decoded, because other frames need them. The decoder knows which ones they are.
        self._stream.codec_context.skip_frame = "DEFAULT" if is_needed else "NONREF"
        yield from self._decode(packet)

    def _can_skip(self, packet: Packet[VideoStream]) -> bool:
        """Return whether a packet need not reach the decoder: no frame refers to it, and its own is not taken.

        A packet whose cell has no frame yet is decoded, even if another one shares the cell: that may be damaged.
        """
        if not self._is_intra_only or packet.pts is None or packet.is_discard:
            return False
        if self._captions is not None and self._captions.is_wanted:
            return False
        at_ns = self._timeline.at(packet.pts, self._time_base_of(packet))
        if not self._sampler.has_taken(at_ns):
            return False
        self.end_ns = max(self.end_ns, at_ns + self._duration_ns(packet))
        return True

    def drain(self) -> Iterator[SampledFrame]:
        """Yield the selected frames that the decoder still holds."""
        yield from self._decode(None)
        self._in_decoder.clear()

    def read_ns(self, position_ns: int) -> int:
        """Return up to where all frames are known, where the file has been read up to `position_ns`."""
        return min(position_ns, self._in_decoder[0]) if self._in_decoder else position_ns

    def _decode(self, packet: Packet[VideoStream] | None) -> Iterator[SampledFrame]:
        frames = self._decoder.decode(self._stream, packet)
        self._pixel_aspect.note(None if packet is None else packet.pts)
        for frame in frames:
            at_ns = self._time_of(frame)
            while self._in_decoder and self._in_decoder[0] <= at_ns:
                heapq.heappop(self._in_decoder)
            if self._captions is not None and self._captions.is_wanted and at_ns >= self._timeline.base_ns:
                self._captions.feed(frame, at_ns)
            self.late_frames += self._timeline.base_ns <= at_ns < self._latest_ns
            self._latest_ns = max(self._latest_ns, at_ns)
            # Frames that an edit list discards may lie before the session's start.
            if at_ns >= self._timeline.base_ns and self._sampler.take(at_ns):
                yield from self._encoded(frame, at_ns)

    def _encoded(self, frame: av.VideoFrame, at_ns: int) -> Iterator[SampledFrame]:
        try:
            encoded = self._encoder.encode(frame, self._pixel_aspect.at(frame.pts))
        except DECODER_ERRORS as error:  # a frame of impossible size or format, of a damaged packet
            self._decoder.fail(str(error))
        else:
            yield SampledFrame(at_ns, *encoded)

    def _time_of(self, frame: av.VideoFrame) -> int:
        """Return the session time of a frame. One without a timestamp (raw streams) follows its predecessor."""
        time_base = frame.time_base
        if frame.pts is not None and time_base is not None:
            at_ns = self._timeline.at(frame.pts, time_base)
        else:
            at_ns = self._next_frame_ns
        self._next_frame_ns = at_ns + self._frame_duration_ns
        self.end_ns = max(self.end_ns, at_ns)
        return at_ns

    def _duration_ns(self, packet: Packet[VideoStream]) -> int:
        duration = packet.duration
        return ticks_to_ns(duration, self._time_base_of(packet)) if duration else self._frame_duration_ns

    def _time_base_of(self, packet: Packet[VideoStream]) -> Fraction:
        """Return the time base of the track. PyAV makes a fraction of it whenever a packet is asked for it."""
        if self._time_base is None:
            self._time_base = packet.time_base
        return self._time_base
