"""Read video packets: decode as little as the selected frames need, and track what the decoder still holds."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
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
from triptych.producers.session_timeline import SessionTimeline, TickScale
from triptych.producers.subtitles.cea608 import CaptionReader
from triptych.units import NS_PER_S

_DEFAULT_FPS: Final = 25


@dataclass(frozen=True, slots=True)
class SampledFrame:
    """One selected frame as JPEG.

    Attributes:
        at_ns: its session time.
        next_ns: the session time before which no later frame is selected.
        jpeg: the JPEG file.
        width: in pixels.
        height: in pixels.
    """

    at_ns: int
    next_ns: int
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
        self._base_ns = timeline.base_ns
        self._offset_ns = timeline.base_ns - timeline.origin_ns
        self._scale = TickScale(stream.time_base or Fraction(1))
        self._decoder = decoder
        self._sampler = sampler
        self._encoder = encoder
        self._pixel_aspect = pixel_aspect
        self._captions = captions
        # Such as Motion JPEG, of many cameras, and ProRes: the decoder skips none of their frames by itself.
        self._is_intra_only = stream.codec_context.codec.intra_only
        self._frame_duration_ns = round(NS_PER_S / (stream.average_rate or _DEFAULT_FPS))
        self._in_decoder: list[int] = []
        self._next_frame_ns = timeline.base_ns
        self._latest_ns = timeline.base_ns
        self.end_ns = timeline.base_ns
        self.late_frames = 0

    def feed(self, packet: Packet[VideoStream]) -> list[SampledFrame]:
        """Return the selected frames that this packet completes."""
        is_needed = True
        # A packet that an edit list discards may still be a reference.
        if packet.pts is not None and not packet.is_discard:
            at_ns = self._scale.ns(packet.pts) + self._offset_ns
            duration = packet.duration
            self.end_ns = max(self.end_ns, at_ns + (self._scale.ns(duration) if duration else self._frame_duration_ns))
            has_captions = self._captions is not None and self._captions.is_wanted  # any frame may carry them
            # A packet whose cell has no frame yet is decoded, even if another one shares the cell: that may be damaged.
            if self._is_intra_only and not has_captions and self._sampler.has_taken(at_ns):
                return []
            heapq.heappush(self._in_decoder, at_ns)
            is_needed = self._sampler.may_take(at_ns) or has_captions
        # Reference frames are always decoded, because other frames need them. The decoder knows which ones they are.
        self._stream.codec_context.skip_frame = "DEFAULT" if is_needed else "NONREF"
        frames = self._decoder.decode(self._stream, packet)
        if is_needed:  # the shape of the pixels matters only where the frame may be sent
            self._pixel_aspect.note(packet.pts)
        return self._selected(frames, are_timed=True) if frames else []

    def drain(self) -> list[SampledFrame]:
        """Return the selected frames that the decoder still holds."""
        # PyAV gives these no time base, so they follow their predecessors.
        selected = self._selected(self._decoder.decode(self._stream, None), are_timed=False)
        self._in_decoder.clear()
        return selected

    def read_ns(self, position_ns: int) -> int:
        """Return up to where all frames are known, where the file has been read up to `position_ns`."""
        return min(position_ns, self._in_decoder[0]) if self._in_decoder else position_ns

    def _selected(self, frames: Sequence[av.VideoFrame], *, are_timed: bool) -> list[SampledFrame]:
        selected: list[SampledFrame] = []
        for frame in frames:
            at_ns = self._time_of(frame, is_timed=are_timed)
            while self._in_decoder and self._in_decoder[0] <= at_ns:
                heapq.heappop(self._in_decoder)
            if at_ns < self._base_ns:  # of a packet that an edit list discards
                continue
            if self._captions is not None and self._captions.is_wanted:
                self._captions.feed(frame, at_ns)
            self.late_frames += at_ns < self._latest_ns
            self._latest_ns = max(self._latest_ns, at_ns)
            if self._sampler.take(at_ns):
                selected += self._encoded(frame, at_ns)
        return selected

    def _encoded(self, frame: av.VideoFrame, at_ns: int) -> list[SampledFrame]:
        try:
            encoded = self._encoder.encode(frame, self._pixel_aspect.at(frame.pts))
        except DECODER_ERRORS as error:  # a frame of impossible size or format, of a damaged packet
            self._decoder.fail(str(error))
            return []
        return [SampledFrame(at_ns, self._sampler.next_instant_ns, *encoded)]

    def _time_of(self, frame: av.VideoFrame, *, is_timed: bool) -> int:
        """Return the session time of a frame. One without a timestamp (raw streams) follows its predecessor."""
        pts = frame.pts if is_timed else None
        at_ns = self._next_frame_ns if pts is None else self._scale.ns(pts) + self._offset_ns
        self._next_frame_ns = at_ns + self._frame_duration_ns
        self.end_ns = max(self.end_ns, at_ns)
        return at_ns
