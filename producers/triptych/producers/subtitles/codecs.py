"""Extract the text of subtitle packets. Bitmap subtitles have none."""

from __future__ import annotations

from typing import Final

import av
from av.packet import Packet
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle

from triptych.producers.subtitles.markup import from_ass_event, from_tagged

TEXT_CODECS: Final = frozenset({"ass", "mov_text", "srt", "ssa", "subrip", "text", "webvtt"})
CAPTION_TRACK_CODEC: Final = "cc_dec"
"""FFmpeg's decoder of CEA-608 captions, which QuickTime files have as a track of their own."""

_HTML_CODECS: Final = frozenset({"sami", "srt", "subrip", "text"})
"""Formats in whose text FFmpeg leaves entities and unknown tags."""


def codec_name(stream: SubtitleStream) -> str | None:
    """Return the codec's name; None where FFmpeg has no decoder, as for the WebVTT that mkvmerge writes."""
    context = getattr(stream, "codec_context", None)
    return None if context is None else str(context.name)


def text_of(packet: Packet[SubtitleStream], stream: SubtitleStream) -> str:
    """Return the plain text of a packet; empty where it has none or is damaged."""
    name = codec_name(stream)
    if name is None:
        return _raw_text(packet)
    try:
        decoded = packet.decode()
    except (av.error.FFmpegError, UnicodeDecodeError):
        return ""
    events = [item.ass.decode("utf-8", "replace") for item in decoded if isinstance(item, AssSubtitle)]
    texts = [from_ass_event(event) for event in events]
    if name in _HTML_CODECS:
        texts = [from_tagged(text) for text in texts]
    return "\n".join(text for text in texts if text)


def _raw_text(packet: Packet[SubtitleStream]) -> str:
    try:
        return from_tagged(bytes(packet).decode())
    except UnicodeDecodeError:
        return ""
