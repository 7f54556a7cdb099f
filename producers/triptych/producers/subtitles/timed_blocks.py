"""Read blocks of text under a line of times: WebVTT, SubRip, SBV and SubViewer. A bad block costs no other.

WebVTT is read as its specification says, which recovers at the next empty line or `-->`. The other formats have no
specification, so whatever is clearly meant is read: other arrows, missing hours or milliseconds, empty lines within a
text. This module knows text only, neither files nor encodings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from triptych.producers.subtitles.cue import Cue
from triptych.producers.subtitles.markup import from_tagged
from triptych.units import NS_PER_S

_HEADER: Final = "WEBVTT"
_TIME: Final = r"(?:(\d{1,4})\s?:\s?)?(\d{1,3})\s?:\s?(\d{1,2})(?:\s?[.,:]\s?(\d{1,9}))?(?!\d)"
_ARROW: Final = r"(?:[-–—−=](?:[-–—−=\s]*)(?:>|&gt;)+|[→⟶⇒]|[-–—]{1,2})"  # noqa: RUF001 - dashes that are typed
_TIMES: Final = re.compile(rf"\s*(?:\d+[.)]?\s+)?{_TIME}\s*(?:{_ARROW}|[,;])\s*{_TIME}(?P<rest>\s.*)?")
_STRICT_TIME: Final = r"(?:(\d{2,4}):)?([0-5]?\d):([0-5]?\d)(?:[.,](\d{1,9}))?(?!\d)"
_STRICT_TIMES: Final = re.compile(rf"\s*{_STRICT_TIME}\s*-->\s*{_STRICT_TIME}(?P<rest>\s.*)?")
_MEANT_AS_TIMES: Final = re.compile(rf".*-->.*|[\s\d:.,;]*\d\s*:[\s\d:.,;]*{_ARROW}[\s\d:.,;]*")
_SETTINGS: Final = re.compile(r"(?:\s+[A-Za-z]\w*:\S+)+\s*")
_NUMBER: Final = re.compile(r"\s*\d{1,9}\s*")
_MAX_TIMES: Final = 500
_COMMENT: Final = re.compile(r"NOTE(?:\s.*)?|(?:STYLE|REGION)\s*")
_BREAK: Final = re.compile(r"\[br\]|\\N", re.IGNORECASE)
_OVERRIDE: Final = re.compile(r"\{\\[^{}]*\}")
"""Markup of ASS, which SubRip files have too: `{\\an8}`."""


@dataclass(frozen=True, slots=True)
class SkippedBlock:
    """A block that is no cue.

    Attributes:
        line: the number of its first line, from 1.
        text: that line.
        reason: why it is no cue.
    """

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class ParsedCues:
    """What a text holds.

    Attributes:
        cues: the cues in the order of the text. Where a text states no duration, a cue ends where it starts.
        skipped: the blocks that are no cues. Comments and style sheets do not count.
        blank: timed blocks without text. They are valid: they clear the screen.
        header: the lines of a WebVTT header, such as `X-TIMESTAMP-MAP=…`.
    """

    cues: tuple[Cue, ...]
    skipped: tuple[SkippedBlock, ...] = ()
    blank: tuple[SkippedBlock, ...] = ()
    header: tuple[str, ...] = ()


def parse_timed_text(text: str) -> ParsedCues:
    """Return the cues of WebVTT, SubRip, SBV or SubViewer text, and the blocks that were skipped."""
    lines = _lines(text)
    first = next((index for index, line in enumerate(lines) if line.strip()), None)
    if first is None:
        return ParsedCues(())
    blocks = _Blocks(lines)
    if is_webvtt(text):
        header_end = _header_end(lines, first)
        for start, end in _webvtt_blocks(lines, header_end):
            blocks.add_webvtt(start, end)
        return blocks.parsed(tuple(lines[first:header_end]))
    blocks.add_loose()
    return blocks.parsed()


def is_webvtt(text: str) -> bool:
    """Return whether a text begins with the signature of WebVTT."""
    return re.match(rf"[\ufeff\s\0]*{_HEADER}(?:\s|$)", text[:200], re.IGNORECASE) is not None


def has_times(text: str) -> bool:
    """Return whether any line of a text states the times of a cue."""
    return any(_TIMES.fullmatch(line) for line in _lines(text))


def _lines(text: str) -> list[str]:
    text = text.removeprefix("\ufeff").replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    return text.split("\n")


def _header_end(lines: Sequence[str], first: int) -> int:
    """Return the index of the line that ends the header: an empty one, or the times of a cue."""
    for index in range(first + 1, len(lines)):
        if not lines[index].strip() or "-->" in lines[index]:
            return index
    return len(lines)


def _webvtt_blocks(lines: Sequence[str], begin: int) -> Iterator[tuple[int, int]]:
    """Yield the first line of each block and the line after its last one."""
    start: int | None = None
    for index in range(begin, len(lines)):
        line = lines[index]
        if start is not None and (not line or ("-->" in line and not _may_be_times(lines, start, index))):
            yield start, index
            start = None
        if line and start is None:
            start = index
    if start is not None:
        yield start, len(lines)


def _may_be_times(lines: Sequence[str], start: int, index: int) -> bool:
    """Return whether a line with an arrow can be the times of its block: after at most an identifier."""
    return index == start or (index == start + 1 and "-->" not in lines[start])


class _Blocks:
    """Collect the cues of a text, and the blocks that are none."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._cues: list[Cue] = []
        self._skipped: list[SkippedBlock] = []
        self._blank: list[SkippedBlock] = []

    def parsed(self, header: tuple[str, ...] = ()) -> ParsedCues:
        """Return what was collected."""
        skipped = tuple(sorted(self._skipped, key=lambda block: block.line))
        return ParsedCues(tuple(self._cues), skipped, tuple(self._blank), header)

    def add_webvtt(self, start: int, end: int) -> None:
        """Take a block of WebVTT."""
        at = next((index for index in range(start, min(start + 2, end)) if "-->" in self._lines[index]), None)
        if at is None:
            self._skip_paragraph(start, end, "it has no line of times")
            return
        times = _STRICT_TIMES.fullmatch(self._lines[at])
        if times is None:
            self._skip(at, "its times are not as in 00:00:01.000 --> 00:00:02.000")
            return
        self._add(times, at, self._lines[at + 1 : end])

    def add_loose(self) -> None:
        """Take a whole text that follows no specification: each cue lasts until the next line of times."""
        timed = [index for index, line in enumerate(self._lines) if _is_meant_as_times(line)]
        begins = [_without_number(self._lines, index) for index in timed]
        self._skip_paragraphs(0, begins[0] if begins else len(self._lines))
        for (at, begin), (_, following) in pairwise([*zip(timed, begins, strict=True), (0, len(self._lines))]):
            end = self._end_of_text(at + 1, following, _number(self._lines[begin]) if begin < at else None)
            times = _TIMES.fullmatch(self._lines[at])
            if times is None:
                self._skip(at, "its times cannot be read")
            else:
                self._add(times, at, self._lines[at + 1 : end])

    def _end_of_text(self, start: int, end: int, number: int | None) -> int:
        """Return where the text of a cue ends: before a comment, or before a numbered block without times."""
        for index in range(start + 1, end):
            if self._lines[index - 1].strip():
                continue
            is_block = number is not None and index + 1 < end and _number(self._lines[index]) == number + 1
            if is_block or _COMMENT.fullmatch(self._lines[index]):
                self._skip_paragraphs(index, end)
                return index
        return end

    def _add(self, times: re.Match[str], at: int, text: Sequence[str]) -> None:
        groups = times.groups()
        rest = times["rest"] or ""
        words = from_tagged(_BREAK.sub("\n", _OVERRIDE.sub("", "\n".join(text))))
        if not words and rest.strip() and not _SETTINGS.fullmatch(rest):
            words = from_tagged(rest)
        if not words:
            self._blank.append(SkippedBlock(at + 1, self._lines[at], "it has no text"))
            return
        self._cues.append(Cue(_time_ns(groups[:4]), _time_ns(groups[4:8]), words))

    def _skip_paragraphs(self, start: int, end: int) -> None:
        begin: int | None = None
        for index in range(start, end + 1):
            is_empty = index == end or not self._lines[index].strip()
            if is_empty and begin is not None:
                self._skip_paragraph(begin, index, "it has no line of times")
                begin = None
            elif not is_empty and begin is None:
                begin = index

    def _skip_paragraph(self, start: int, end: int, reason: str) -> None:
        """Take note of lines that are no cue, unless nothing is lost with them."""
        lines = [line for line in self._lines[start:end] if line.strip()]
        if not lines or _COMMENT.fullmatch(lines[0]) or (len(lines) == 1 and _NUMBER.fullmatch(lines[0])):
            return
        self._skip(start, reason)

    def _skip(self, at: int, reason: str) -> None:
        self._skipped.append(SkippedBlock(at + 1, self._lines[at], reason))


def _is_meant_as_times(line: str) -> bool:
    if len(line) > _MAX_TIMES:  # the patterns take long to give up
        return "-->" in line
    return _TIMES.fullmatch(line) is not None or _MEANT_AS_TIMES.fullmatch(line) is not None


def _without_number(lines: Sequence[str], at: int) -> int:
    """Return the index of the number above a line of times, or else of that line. Empty lines between do not count."""
    index = at - 1
    while index > 0 and not lines[index].strip():
        index -= 1
    if index < 0 or not _NUMBER.fullmatch(lines[index]):
        return at
    is_above = index == at - 1
    starts_block = index == 0 or not lines[index - 1].strip()
    text_line = index > 0 and _is_meant_as_times(lines[index - 1])
    return index if starts_block or (is_above and not text_line) else at


def _number(line: str) -> int | None:
    return int(line.strip()) if _NUMBER.fullmatch(line) else None


def _time_ns(groups: Sequence[str | None]) -> int:
    hours, minutes, seconds, fraction = groups
    whole_s = int(hours or 0) * 3_600 + int(minutes or 0) * 60 + int(seconds or 0)
    return whole_s * NS_PER_S + int((fraction or "0").ljust(9, "0")[:9])
