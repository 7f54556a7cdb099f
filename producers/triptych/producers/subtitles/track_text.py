"""Read the text of a subtitle track, packet by packet, whatever its encoding.

FFmpeg rejects text that is not UTF-8. Matroska and MP4 demand UTF-8, but many a file was muxed from old subtitles. So
such packets are converted first. One packet is too short to tell an encoding by, so all that came before help.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import structlog
from av.packet import Packet
from av.subtitles.stream import SubtitleStream

from triptych.producers.session_timeline import ticks_to_ns
from triptych.producers.subtitles.codecs import codec_name, text_of
from triptych.producers.subtitles.cue import Cue
from triptych.producers.subtitles.encoding import decode_text, find_encoding
from triptych.producers.subtitles.language import language_of
from triptych.producers.subtitles.text_faults import TextFaults
from triptych.producers.subtitles.timed_text_xml import is_ttml, parse_ttml

_log = structlog.get_logger(__name__)

_MAX_SEEN: Final = 1 << 15
_LENGTH_BYTES: Final = 2
_TEXT_IN_PACKETS: Final = frozenset({"ass", "srt", "ssa", "subrip", "text", "webvtt", None})
_BOMS: Final = (b"\xfe\xff", b"\xff\xfe")


class TrackText:
    """Read the text of one track.

    Attributes:
        undecodable: how many characters could not be decoded. Each became a replacement character.
        unreadable: how many packets had text that could not be read.
        faults: the counts of the source, which these are added to.
    """

    def __init__(self, stream: SubtitleStream, *, feed: str, encoding: str | None, language: str | None) -> None:
        """Read a track.

        Args:
            stream: the track.
            feed: the id of the feed, for the log.
            encoding: the encoding that the user states; None to find it.
            language: the language that the user states. What the track states itself comes first.
        """
        self._stream = stream
        self._feed = feed
        self._stated = encoding
        self._language = language_of(stream.metadata.get("language")) or language
        self._seen = b""
        self._encoding = ""
        self.undecodable = 0
        self.unreadable = 0
        self.faults = TextFaults()

    def cues(self, packet: Packet[Any]) -> Iterator[Cue]:
        """Yield the cues of a packet, with times from its time stamp on. Without a duration, it ends where it starts.

        A packet of TTML is a document of its own, whose times are those of the track (ISO/IEC 14496-30).
        """
        duration_ns = ticks_to_ns(packet.duration, packet.time_base) if packet.duration else 0
        text = self._document(packet)
        if text is None:
            words = self.text_of(packet)
            if words:
                yield Cue(0, duration_ns, words)
            return
        parsed = parse_ttml(text)
        self._count_unreadable(len(parsed.skipped))
        at_ns = ticks_to_ns(packet.pts or 0, packet.time_base)
        for cue in parsed.cues:
            start_ns = max(0, cue.start_ns - at_ns)
            end_ns = cue.end_ns - at_ns if cue.end_ns > cue.start_ns else duration_ns
            if duration_ns:
                end_ns = min(end_ns, duration_ns)
            if end_ns > start_ns:
                yield Cue(start_ns, end_ns, cue.text)

    def _document(self, packet: Packet[Any]) -> str | None:
        """Return the TTML document in a packet; None where it is something else."""
        if codec_name(self._stream) is not None:
            return None
        text = decode_text(bytes(packet), stated=self._stated, language=self._language).text
        return text if is_ttml(text) else None

    def text_of(self, packet: Packet[Any]) -> str:
        """Return the plain text of a packet; empty where it has none or is damaged."""
        content = self._text_bytes(packet)
        if content and not content.isascii() and len(self._seen) < _MAX_SEEN:
            self._seen += content + b"\n"
        try:
            content.decode()
        except UnicodeDecodeError:
            packet = self._in_utf8(packet, content)
        text = text_of(packet, self._stream)
        if not text and content.strip() and self._is_unreadable(packet):
            self._count_unreadable(1)
        return text

    def report(self) -> None:
        """Log what could not be read."""
        if self.undecodable or self.unreadable:
            _log.warning(
                "subtitles_undecodable",
                stream=self._feed,
                track=self._stream.index,
                characters=self.undecodable,
                packets=self.unreadable,
            )

    def _text_bytes(self, packet: Packet[Any]) -> bytes:
        """Return the bytes of the text in a packet; none where its format is not text."""
        name, content = codec_name(self._stream), bytes(packet)
        if name == "mov_text":
            text = content[_LENGTH_BYTES : _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "big")]
            return b"" if text.startswith(_BOMS) else text
        return content if name in _TEXT_IN_PACKETS else b""

    def _in_utf8(self, packet: Packet[Any], content: bytes) -> Packet[Any]:
        encoding, assumed_from = find_encoding(self._seen, stated=self._stated, language=self._language)
        if encoding != self._encoding:
            self._encoding = encoding
            _log.warning(
                "subtitles_encoding_assumed",
                stream=self._feed,
                track=self._stream.index,
                encoding=encoding,
                assumed_from=assumed_from or "the user",
            )
        decoded = decode_text(content, stated=encoding)
        self.undecodable += decoded.undecodable
        self.faults.undecodable += decoded.undecodable
        text = decoded.text.encode()
        if codec_name(self._stream) == "mov_text":
            styles = bytes(packet)[_LENGTH_BYTES + len(content) :]  # they count characters, and still fit
            text = len(text).to_bytes(_LENGTH_BYTES, "big") + text + styles
        converted: Packet[Any] = Packet(text)
        converted.stream = self._stream
        converted.pts, converted.dts, converted.time_base = packet.pts, packet.dts, packet.time_base
        converted.duration = packet.duration
        return converted

    def _count_unreadable(self, packets: int) -> None:
        self.unreadable += packets
        self.faults.skipped += packets

    def _is_unreadable(self, packet: Packet[Any]) -> bool:
        """Return whether the decoder has rejected a packet, rather than found no words in it."""
        if codec_name(self._stream) is None:
            return False
        try:
            packet.decode()
        except (ValueError, OSError):  # PyAV's errors are these
            return True
        return False
