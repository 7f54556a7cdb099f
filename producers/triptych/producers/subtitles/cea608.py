"""Captions embedded in the video (CEA-608 and CEA-708), found in the frames, because no container declares them.

Where a video has both formats, they carry the same text. Then CEA-608 is read, by FFmpeg's mature decoder. It returns a
caption when the caption leaves the screen, because its end is known only then. A second decoder in real-time mode tells
whether anything is on the screen now, which determines the watermark.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, islice
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
"""How long a caption on the screen holds the watermark back. After that, its beginning is cut off."""

_PROBED_FRAMES: Final = 12
_MARK: Final = b"GA94"
"""Stands before the captions in H.264 and HEVC (ATSC A/53). Other codecs have other ways to carry them, too."""
_MARKED_CODECS: Final = frozenset({"h264", "hevc"})
_PROBED_PACKETS: Final = 16
"""How many packets are searched for it: those of the probed frames, and of those that a decoder holds back."""
_TICK: Final = Fraction(1, 1_000)
# An empty caption file: PyAV sets the time base only for a decoder that belongs to an open stream.
_EMPTY_CAPTION_FILE: Final = b"Scenarist_SCC V1.0\n\n00:00:00:00\t942c 942c\n\n"


def carries_captions(stream: VideoStream, packets: Iterable[Packet[VideoStream]]) -> bool:
    """Return whether the first frames of these packets carry captions, even empty ones.

    Decodes with a decoder of its own; that of the stream is left untouched.
    """
    codec = stream.codec_context
    if codec.name not in CAPTION_CODECS:
        return False
    probed = iter(packets)
    marked = _up_to_mark(probed) if codec.name in _MARKED_CODECS else []
    if marked is None:  # of nearly all videos, so nothing is decoded for them
        return False
    decoder = cast("VideoCodecContext", av.CodecContext.create(codec.name, "r"))
    decoder.extradata = codec.extradata
    seen = 0
    for packet in chain(marked, probed):
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


def _up_to_mark(packets: Iterator[Packet[VideoStream]]) -> list[Packet[VideoStream]] | None:
    """Return the packets up to the first one with the mark of captions; None if none of the first ones has it."""
    read = []
    for packet in islice(packets, _PROBED_PACKETS):
        read.append(packet)
        if _MARK in bytes(packet):
            return read
    return None


class CaptionReader:
    """Read the captions of one pass over one video track. Frames come in presentation order.

    Attributes:
        is_wanted: whether to feed it at all.
    """

    def __init__(self, base_ns: int) -> None:
        self._cea608 = _Cea608Captions()
        self._cea708 = DtvccCaptions()
        self._read_ns = base_ns
        self._base_ns = base_ns
        self._cues: deque[Cue] = deque()
        self.is_wanted = True

    @property
    def read_ns(self) -> int:
        """The session time up to which the captions are known."""
        return self._read_ns

    @property
    def watermark_ns(self) -> int:
        """The session time before which no further caption starts."""
        shown_ns = self._source.shown_since_ns
        since_ns = self._read_ns if shown_ns is None else shown_ns
        return max(self._base_ns, since_ns - NS_PER_MS, self._read_ns - MAX_HOLD_NS)

    def feed(self, frame: av.VideoFrame, at_ns: int) -> None:
        """Take a frame that is shown at this session time."""
        self.feed_bytes(_caption_bytes(frame), at_ns)

    def feed_bytes(self, content: bytes, at_ns: int) -> None:
        """Take the caption bytes of one session time: those of a frame, or a packet of a caption track."""
        previous_watermark_ns = self.watermark_ns
        self._read_ns = max(self._read_ns, at_ns)
        cue = self._cea608.feed(content, at_ns) if content else None
        if not self._cea608.has_captions:
            cue = self._cea708.feed(content, at_ns)
        if cue is not None:
            self._add(cue, previous_watermark_ns)

    def read_to(self, position_ns: int) -> None:
        """Take the session time up to which there are no more captions."""
        self._read_ns = max(self._read_ns, position_ns)

    def take(self) -> Iterable[Cue]:
        """Yield the captions that have left the screen since the last call."""
        while self._cues:
            yield self._cues.popleft()

    def skip(self) -> None:
        """Discard the captions that have left the screen."""
        self._cues.clear()

    def finish(self, end_ns: int) -> None:
        """End the pass. A caption that is still on the screen stays there to the end."""
        source = self._source
        if source.shown_since_ns is not None:
            self._add(Cue(source.shown_since_ns, end_ns, source.shown), self.watermark_ns)
        source.shown_since_ns = None

    @property
    def _source(self) -> _Cea608Captions | DtvccCaptions:
        """The decoder to read: that of CEA-708 until there are CEA-608 captions."""
        return self._cea608 if self._cea608.has_captions else self._cea708

    def _add(self, cue: Cue, watermark_ns: int) -> None:
        """Queue a caption, unless it is empty or ended before the watermark.

        FFmpeg lets a roll-up line begin while its row was still empty, so a caption may start too early.
        """
        start_ns = max(cue.start_ns, watermark_ns)
        if cue.text and cue.end_ns > start_ns:
            self._cues.append(Cue(start_ns, cue.end_ns, cue.text))


class _Cea608Captions:
    """The captions by CEA-608.

    Attributes:
        shown_since_ns: since when there is text on the screen; None where it is empty.
        shown: the text on the screen.
        has_captions: whether there was ever any text.
    """

    def __init__(self) -> None:
        self._finished = _Decoder()
        self._on_screen = _Decoder(real_time="1", real_time_latency_msec="0")
        self.shown_since_ns: int | None = None
        self.shown = ""
        self.has_captions = False

    def feed(self, content: bytes, at_ns: int) -> Cue | None:
        """Take the caption bytes of one frame; return the caption that leaves the screen with it."""
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
    """FFmpeg's caption decoder. Its times are in milliseconds."""

    def __init__(self, **options: str) -> None:
        self._holder = av.open(io.BytesIO(_EMPTY_CAPTION_FILE), "r", format="scc")
        self._context = self._holder.streams.subtitles[0].codec_context
        self._context.options = options
        self._origin_ns: int | None = None

    def decode(self, content: bytes, at_ns: int) -> Cue | None:
        """Return the caption that the bytes of a frame complete, or, in real-time mode, put on the screen."""
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
        text = "\n".join(line for event in events if (line := from_ass_event(event)))
        return Cue(start_ns, start_ns + found.end_display_time * NS_PER_MS, text)


def _caption_bytes(frame: av.VideoFrame) -> bytes:
    items: Iterable[Any] = frame.side_data  # PyAV's stubs declare a mapping, but it iterates over its values
    return b"".join(bytes(item) for item in items if item.type == SideDataType.A53_CC)
