"""Pictures from video packets: decodes as little as the chosen frames need, and knows what the decoder still holds."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import av
from av.packet import Packet
from av.video.stream import VideoStream

from triptych.producers.media.jpeg import JpegEncoder
from triptych.producers.media.sampling import Sampler
from triptych.producers.session_timeline import SessionTimeline, ticks_to_ns
from triptych.producers.subtitles.cea608 import CaptionReader
from triptych.units import NS_PER_S

_DEFAULT_RATE: Final = 25


@dataclass(frozen=True, slots=True)
class SampledFrame:
    """One chosen frame as JPEG, at its own time in the session."""

    at_ns: int
    jpeg: bytes
    width: int
    height: int


class VideoReader:
    """Read one pass over one video track; captions inside the pictures go to their own reader, where there is one."""

    def __init__(
        self,
        stream: VideoStream,
        timeline: SessionTimeline,
        *,
        sampler: Sampler,
        encoder: JpegEncoder,
        captions: CaptionReader | None = None,
    ) -> None:
        self._stream = stream
        self._timeline = timeline
        self._sampler = sampler
        self._encoder = encoder
        self._captions = captions
        self._in_decoder: list[int] = []
        self._shown_ns = timeline.base_ns
        self.end_ns = timeline.base_ns
        self.broken = 0

    def feed(self, packet: Packet[VideoStream]) -> Iterator[SampledFrame]:
        """Yield the chosen pictures that this packet completes."""
        wanted = True
        if packet.pts is not None and not packet.is_discard:  # others only help to decode what an edit list keeps
            at_ns = self._timeline.at(packet.pts, packet.time_base)
            self.end_ns = max(self.end_ns, at_ns + self._length_ns(packet))
            heapq.heappush(self._in_decoder, at_ns)
            wanted = self._sampler.may_take(at_ns)
        wanted = wanted or self._captions is not None  # any frame may carry some
        # Others are built on reference frames, so only the rest can be left out; the decoder knows which those are.
        self._stream.codec_context.skip_frame = "DEFAULT" if wanted else "NONREF"
        yield from self._decoded(packet)

    def drain(self) -> Iterator[SampledFrame]:
        """Yield what the decoder still held."""
        yield from self._decoded(None)
        self._in_decoder.clear()

    def read_ns(self, position_ns: int) -> int:
        """Return up to where all frames are known, the file being read up to `position_ns`."""
        return min(position_ns, self._in_decoder[0]) if self._in_decoder else position_ns

    def _decoded(self, packet: Packet[VideoStream] | None) -> Iterator[SampledFrame]:
        try:
            frames = self._stream.codec_context.decode(packet)
        except av.error.FFmpegError:
            self.broken += 1
            return
        for frame in frames:
            at_ns = self._time_of(frame)
            while self._in_decoder and self._in_decoder[0] <= at_ns:
                heapq.heappop(self._in_decoder)
            if self._captions is not None and at_ns >= self._timeline.base_ns:
                self._captions.feed(frame, at_ns)
            # What an edit list cuts off may lie before the session's start.
            if at_ns >= self._timeline.base_ns and self._sampler.take(at_ns):
                yield SampledFrame(at_ns, *self._encoder.encode(frame))

    def _time_of(self, frame: av.VideoFrame) -> int:
        """Return the frame's time; one that has none (raw streams) follows its predecessor at the stated rate."""
        if frame.pts is not None and frame.time_base is not None:
            at_ns = self._timeline.at(frame.pts, frame.time_base)
        else:
            at_ns = self._shown_ns
        self._shown_ns = at_ns + self._frame_length_ns()
        self.end_ns = max(self.end_ns, at_ns)
        return at_ns

    def _length_ns(self, packet: Packet[VideoStream]) -> int:
        return ticks_to_ns(packet.duration, packet.time_base) if packet.duration else self._frame_length_ns()

    def _frame_length_ns(self) -> int:
        return round(NS_PER_S / (self._stream.average_rate or _DEFAULT_RATE))
