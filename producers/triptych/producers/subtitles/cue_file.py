"""Cue files (`.srt`, `.vtt`, `.ass`): named by the user or found as sidecars of a media file, and read whole."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import av

from triptych.files import why_unreadable
from triptych.producers.session_timeline import ticks_to_ns
from triptych.producers.subtitles.codecs import TEXT_CODECS, codec_name, text_of
from triptych.producers.subtitles.cue import DEFAULT_DURATION_NS, Cue
from triptych.producers.subtitles.language import language_of, same_language
from triptych.schemas.errors import UsageError

_FORMAT_OF: Final = {".srt": "srt", ".vtt": "webvtt", ".ass": "ass", ".ssa": "ass"}
_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_MAX_BYTES: Final = 64 << 20


def find_sidecar(media: Path, wanted: str) -> Path | None:
    """Return the sidecar cue file of a media file: in the wanted language, else without a language, else any."""
    found = [path for path in sorted(media.parent.glob("*")) if _is_sidecar(path, media)]
    ranked = sorted(found, key=lambda path: _rank(path, media, wanted))
    return ranked[0] if ranked else None


def language_in_name(path: Path) -> str | None:
    """Return the language tag in a name such as `film.en.srt`."""
    return language_of(path.with_suffix("").suffix.removeprefix("."))


def read_cues(path: Path, language: str | None) -> tuple[Cue, ...]:
    """Return the cues of a file, ordered by start.

    Raises:
        UsageError: the file cannot be read, or holds no cues.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(why_unreadable(path) or f"{path}: cannot be read as subtitles ({error.strerror})") from None
    if len(content) > _MAX_BYTES:
        raise UsageError(f"{path}: expected subtitles, got a file of {len(content)} bytes")
    try:
        cues = _decode(content, _FORMAT_OF.get(path.suffix.lower()))
    except av.error.FFmpegError:
        cues = []
    if not cues:
        raise UsageError(f"{path}: expected cues as SubRip, WebVTT or ASS text, found none")
    return tuple(_with_known_ends(replace(cue, language=language) for cue in cues))


def _is_sidecar(path: Path, media: Path) -> bool:
    if path.suffix.lower() not in _FORMAT_OF or not path.is_file() or path == media:
        return False
    stem = path.stem
    return stem == media.stem or (stem.startswith(f"{media.stem}.") and language_in_name(path) is not None)


def _rank(path: Path, media: Path, wanted: str) -> tuple[int, int]:
    order = tuple(_FORMAT_OF).index(path.suffix.lower())
    if path.stem == media.stem:
        return 1, order
    return (0 if same_language(language_in_name(path), wanted) else 2), order


def _decode(content: bytes, format_name: str | None) -> list[Cue]:
    readable = content if _is_unicode(content) else content.decode("cp1252", "replace").encode()
    with av.open(io.BytesIO(readable), "r", format=format_name) as container:
        streams = [stream for stream in container.streams.subtitles if codec_name(stream) in TEXT_CODECS]
        if not streams:
            return []
        stream = streams[0]
        cues: list[Cue] = []
        for packet in container.demux(stream):
            text = text_of(packet, stream) if packet.size and packet.pts is not None else ""
            if text and packet.pts is not None:
                start_ns = ticks_to_ns(packet.pts, packet.time_base)
                cues.append(Cue(start_ns, start_ns + ticks_to_ns(packet.duration or 0, packet.time_base), text))
        return sorted(cues, key=lambda cue: cue.start_ns)


def _is_unicode(content: bytes) -> bool:
    """Return whether FFmpeg can read the bytes as they are: UTF-8, or UTF-16 with a byte order mark."""
    if content.startswith(_BOMS):
        return True
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _with_known_ends(cues: Iterable[Cue]) -> Iterable[Cue]:
    known = list(cues)
    for cue, following in zip(known, [*known[1:], None], strict=True):
        if cue.end_ns > cue.start_ns:
            yield cue
            continue
        end_ns = cue.start_ns + DEFAULT_DURATION_NS
        if following is not None and following.start_ns > cue.start_ns:
            end_ns = min(end_ns, following.start_ns)
        yield replace(cue, end_ns=end_ns)
