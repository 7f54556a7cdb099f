"""Cue files: named by the user or found as sidecars of a media file, and read whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from triptych.files import why_unreadable
from triptych.producers.subtitles.cue import DEFAULT_DURATION_NS, Cue
from triptych.producers.subtitles.encoding import DecodedText, decode_text
from triptych.producers.subtitles.formats import parse_subtitles
from triptych.producers.subtitles.repeats import without_repeats
from triptych.producers.subtitles.timed_blocks import ParsedCues, SkippedBlock
from triptych.schemas.errors import UsageError

_MAX_BYTES: Final = 64 << 20
_MAX_SHOWN: Final = 80
_FORMATS: Final = "SubRip, WebVTT, ASS, TTML, SBV, SAMI, SCC, MicroDVD or MPL2"


@dataclass(frozen=True, slots=True)
class CueFile:
    """What was read from a cue file.

    Attributes:
        cues: the cues, ordered by start. Each has a duration, and none repeats what is still shown.
        decoded: how its text was decoded.
        skipped: the blocks that are no cues.
        repeats: how many cues showed only what was shown already.
    """

    cues: tuple[Cue, ...]
    decoded: DecodedText
    skipped: tuple[SkippedBlock, ...]
    repeats: int


def read_cue_file(
    path: Path,
    language: str | None,
    *,
    encoding: str | None = None,
    language_hint: str | None = None,
    frame_rate: Fraction | None = None,
) -> CueFile:
    """Read a cue file.

    Args:
        path: the file.
        language: the language of its text, where it is known.
        encoding: its encoding; None to find it.
        language_hint: the language that helps to find the encoding, where the file states none.
        frame_rate: that of the video, for formats that count frames.

    Raises:
        UsageError: the file cannot be read, or holds no cues.
    """
    decoded = decode_text(_read(path), stated=encoding, language=language or language_hint)
    parsed = parse_subtitles(decoded.text, frame_rate)
    if not parsed.cues:
        raise UsageError(f"{path}: expected cues as {_FORMATS}, {_what_came(parsed, decoded)}")
    timed = _with_known_ends(sorted(parsed.cues, key=lambda cue: cue.start_ns))
    cues = tuple(without_repeats(replace(cue, language=language) for cue in timed))
    return CueFile(cues, decoded, parsed.skipped, len(parsed.cues) - len(cues))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(why_unreadable(path) or f"{path}: cannot be read as subtitles ({error.strerror})") from None
    if len(content) > _MAX_BYTES:
        raise UsageError(f"{path}: expected subtitles, got a file of more than {_MAX_BYTES} bytes")
    return content


def _what_came(parsed: ParsedCues, decoded: DecodedText) -> str:
    """Return where a file without cues went wrong."""
    block = next(iter((*parsed.skipped, *parsed.blank)), None)
    if block is None:
        return "found an empty file"
    text = "".join(char for char in block.text[:_MAX_SHOWN] if char.isprintable())
    return f"found none; line {block.line}: {text!r}: {block.reason} (read as {decoded.encoding})"


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
