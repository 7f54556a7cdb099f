"""Captions inside the picture (CEA-608 and 708): found in the frames, not declared by any container.

Where there are both, which say the same, 608 is read: by FFmpeg's decoder, which is tried and tested. It gives a
caption's words when it leaves the screen, which is when its end is known. A second one, told to work in real time, says
whether anything is on the screen at this moment: that is how far may be promised.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, cast

import av
from av.packet import Packet
from av.sidedata.sidedata import Type as SideDataType
from av.subtitles.subtitle import AssSubtitle

from triptych.producers.subtitles.cea708.decoder import DtvccCaptions
from triptych.producers.subtitles.cue import Cue
from triptych.producers.subtitles.markup import from_ass_event
from triptych.units import NS_PER_MS, NS_PER_S, NS_PER_US

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

CAPTION_CODECS: Final = frozenset({"h264", "hevc", "mpeg1video", "mpeg2video"})
MAX_HOLD_NS: Final = 10 * NS_PER_S
"""How long a caption that stays on the screen holds the words back; after that it loses its beginning."""

_PROBED_FRAMES: Final = 12
_TICK: Final = Fraction(1, 1_000)
# A caption file with nothing in it: only a decoder that belongs to an opened stream is told its time base by PyAV.
_NO_CAPTIONS: Final = b"Scenarist_SCC V1.0\n\n00:00:00:00\t942c 942c\n\n"


def carries_captions(stream: VideoStream, packets: Iterable[Packet[VideoStream]]) -> bool:
    """Return whether the first frames of these packets carry captions, even empty ones; the track is left untouched."""
    codec = stream.codec_context
    if codec.name not in CAPTION_CODECS:
        return False
    decoder = cast("VideoCodecContext", av.CodecContext.create(codec.name, "r"))
    decoder.extradata = codec.extradata
    seen = 0
    for packet in packets:
        try:
            frames = decoder.decode(packet)
        except av.error.FFmpegError:
            continue
        if any(_caption_bytes(frame) for frame in frames):
            return True
        seen += len(frames)
        if seen >= _PROBED_FRAMES:
            break
    return False


class CaptionReader:
    """Read the captions of one pass over one video track, frames in the order in which they are shown."""

    def __init__(self, base_ns: int) -> None:
        self._line21 = _Line21Captions()
        self._dtvcc = DtvccCaptions()
        self._read_ns = base_ns
        self._base_ns = base_ns
        self._cues: deque[Cue] = deque()

    @property
    def read_ns(self) -> int:
        """Up to where the captions are known."""
        return self._read_ns

    @property
    def watermark_ns(self) -> int:
        """Return before which moment no caption will start any more."""
        shown_ns = self._source.shown_since_ns
        since_ns = self._read_ns if shown_ns is None else shown_ns
        return max(self._base_ns, since_ns - NS_PER_MS, self._read_ns - MAX_HOLD_NS)

    def feed(self, frame: av.VideoFrame, at_ns: int) -> None:
        """Take a frame that is shown at this moment."""
        watermark_ns = self.watermark_ns
        self._read_ns = max(self._read_ns, at_ns)
        content = _caption_bytes(frame)
        cue = self._line21.feed(content, at_ns) if content else None
        if not self._line21.has_captions:
            cue = self._dtvcc.feed(content, at_ns)
        if cue is not None:
            self._keep(cue, watermark_ns)

    def take(self) -> Iterable[Cue]:
        """Yield the captions that have left the screen since."""
        while self._cues:
            yield self._cues.popleft()

    def finish(self, end_ns: int) -> None:
        """End the pass: what is still on the screen stays there to the end."""
        source = self._source
        if source.shown_since_ns is not None:
            self._keep(Cue(source.shown_since_ns, end_ns, source.shown), self.watermark_ns)
        source.shown_since_ns = None

    @property
    def _source(self) -> _Line21Captions | DtvccCaptions:
        """Where the words come from: from 708 as long as there has been nothing else."""
        return self._line21 if self._line21.has_captions else self._dtvcc

    def _keep(self, cue: Cue, watermark_ns: int) -> None:
        """Keep what has words; FFmpeg lets a line that rolls up begin with the empty line that it fills."""
        start_ns = max(cue.start_ns, watermark_ns)
        if cue.text and cue.end_ns > start_ns:
            self._cues.append(Cue(start_ns, cue.end_ns, cue.text))


class _Line21Captions:
    """The captions by CEA-608.

    Attributes:
        shown_since_ns: since when there has been something on the screen; None where it is empty.
        shown: what.
        has_spoken: whether there has ever been anything.
    """

    def __init__(self) -> None:
        self._finished = _Decoder()
        self._on_screen = _Decoder(real_time="1", real_time_latency_msec="0")
        self.shown_since_ns: int | None = None
        self.shown = ""
        self.has_captions = False

    def feed(self, content: bytes, at_ns: int) -> Cue | None:
        """Take one frame's caption bytes; return what has left the screen with it."""
        screen = self._on_screen.decode(content, at_ns)
        if screen is not None:
            self.shown = screen.text
            self.shown_since_ns = (self.shown_since_ns or at_ns) if screen.text else None
        cue = self._finished.decode(content, at_ns)
        if cue is not None:
            self.shown_since_ns = None if self.shown_since_ns is None else cue.end_ns
        self.has_captions = self.has_captions or bool(self.shown or (cue is not None and cue.text))
        return cue


class _Decoder:
    """FFmpeg's caption decoder; times go through it in milliseconds."""

    def __init__(self, **options: str) -> None:
        self._holder = av.open(io.BytesIO(_NO_CAPTIONS), "r", format="scc")
        self._context = self._holder.streams.subtitles[0].codec_context
        self._context.options = options
        self._origin_ns: int | None = None

    def decode(self, content: bytes, at_ns: int) -> Cue | None:
        """Return the caption that a frame's bytes complete, or what they bring onto the screen."""
        if self._origin_ns is None:
            self._origin_ns = at_ns
        packet: Packet[Any] = Packet(content)
        packet.pts = packet.dts = round((at_ns - self._origin_ns) / NS_PER_MS)
        packet.time_base = _TICK
        try:
            found = self._context.decode2(packet)
        except av.error.FFmpegError:
            return None
        if found is None:
            return None
        start_ns = self._origin_ns + (found.pts or 0) * NS_PER_US
        events = [item.ass.decode("utf-8", "replace") for item in found.rects if isinstance(item, AssSubtitle)]
        text = "\n".join(words for event in events if (words := from_ass_event(event)))
        return Cue(start_ns, start_ns + found.end_display_time * NS_PER_MS, text)


def _caption_bytes(frame: av.VideoFrame) -> bytes:
    items: Iterable[Any] = frame.side_data  # PyAV's stubs call it a mapping, and it yields its values
    return b"".join(bytes(item) for item in items if item.type == SideDataType.A53_CC)
