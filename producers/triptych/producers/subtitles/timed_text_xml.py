"""Read TTML documents and Scenarist captions (SCC) with ttconv, which resolves their times.

Of ttconv only the readers are used: to lay the text out takes it half a minute for a film, and only words are needed.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from fractions import Fraction
from itertools import groupby
from typing import TYPE_CHECKING, Final

from triptych.producers.subtitles.cue import Cue
from triptych.producers.subtitles.markup import normalise
from triptych.producers.subtitles.timed_blocks import ParsedCues, SkippedBlock
from triptych.units import NS_PER_S

if TYPE_CHECKING:
    from ttconv.model import ContentElement

_OLD_NAMESPACE: Final = re.compile(r"http://www\.w3\.org/2006/\d\d/ttaf1")
_NAMESPACE: Final = "http://www.w3.org/ns/ttml"
_DECLARATION: Final = re.compile(r"\s*<\?xml[^>]*\?>")
_ROOT: Final = re.compile(r"<(?:\w+:)?tt[\s>]")
_TIME: Final = re.compile(r"\d+(?:\.\d+)?(?:h|m|s|ms|f|t)|\d{2,}:\d\d:\d\d(?:\.\d+|:\d{2,}(?:\.\d+)?)?")
_TIMED: Final = ("begin", "end", "dur")

_Span = tuple[Fraction, Fraction | None]


def is_ttml(text: str) -> bool:
    """Return whether a text is a TTML document."""
    return text.lstrip("\ufeff \t\r\n").startswith("<") and _ROOT.search(text[:4096]) is not None


def parse_ttml(text: str) -> ParsedCues:
    """Return the cues of a TTML document. Elements whose times cannot be read are skipped."""
    from ttconv.imsc.reader import to_model  # noqa: PLC0415 - few files need it

    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return _unreadable(text, 1, "a document with a DTD is not read")
    document = _OLD_NAMESPACE.sub(_NAMESPACE, _DECLARATION.sub("", text.lstrip("\ufeff"), count=1))
    try:
        root = ET.fromstring(document)  # noqa: S314 - documents with entities of their own are rejected above
    except ET.ParseError as error:
        return _unreadable(text, error.position[0], f"it is not well-formed XML: {error.msg}")
    skipped = tuple(_without_wrong_times(root, text))
    try:
        model = to_model(ET.ElementTree(root))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        return _unreadable(text, 1, f"it is not valid TTML: {error}")
    body = None if model is None else model.get_body()
    return ParsedCues((), skipped) if body is None else ParsedCues(tuple(_cues(body, Fraction(0), None)), skipped)


def parse_scc(text: str) -> ParsedCues:
    """Return the captions of a Scenarist file."""
    from ttconv.scc.reader import to_model  # noqa: PLC0415 - few files need it

    lines = text.split("\n")
    skipped = []
    for number, line in enumerate(lines[1:], start=2):
        if line.strip() and re.fullmatch(r"\s*\d\d:\d\d:\d\d[:;.,]\d\d\s+(?:[0-9a-fA-F]{4}\s*)+", line) is None:
            skipped.append(SkippedBlock(number, line, "it is not a time and codes of two bytes"))
            lines[number - 1] = ""
    try:
        body = to_model("\n".join(lines)).get_body()
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        return _unreadable(text, 1, f"it is not valid SCC: {error}")
    return ParsedCues(() if body is None else tuple(_cues(body, Fraction(0), None)), tuple(skipped))


def _unreadable(text: str, line: int, reason: str) -> ParsedCues:
    lines = text.split("\n")
    return ParsedCues((), (SkippedBlock(line, lines[line - 1] if line <= len(lines) else "", reason),))


def _without_wrong_times(root: ET.Element, text: str) -> Iterator[SkippedBlock]:
    """Remove the elements whose times cannot be read, as they would be shown at a wrong time; yield each."""
    for parent in list(root.iter()):
        for child in list(parent):
            wrong = next((name for name in _TIMED if not _has_time(child, name)), None)
            if wrong is None:
                continue
            stated = f'{wrong}="{child.get(wrong)}"'
            line = text.count("\n", 0, max(0, text.find(stated))) + 1
            yield SkippedBlock(line, text.split("\n")[line - 1].strip(), f"its {stated} is not a time")
            parent.remove(child)


def _has_time(element: ET.Element, name: str) -> bool:
    """Return whether an attribute is a time or absent. A decimal comma is mended."""
    value = element.get(name)
    if value is None:
        return True
    element.set(name, value.strip().replace(",", "."))
    return _TIME.fullmatch(element.get(name, "")) is not None


def _cues(element: ContentElement, parent_begin: Fraction, parent_end: Fraction | None) -> Iterator[Cue]:
    from ttconv.model import P  # noqa: PLC0415

    begin, end = _resolved(element, parent_begin, parent_end)
    if not isinstance(element, P):
        for child in element:
            yield from _cues(child, begin, end)
        return
    for (piece_begin, piece_end), pieces in groupby(_pieces(element, (begin, end)), key=lambda piece: piece[0]):
        text = normalise("".join(words for _, words in pieces))
        if text:
            yield Cue(_ns(piece_begin), _ns(piece_begin if piece_end is None else piece_end), text)


def _pieces(element: ContentElement, span: _Span) -> Iterator[tuple[_Span, str]]:
    """Yield the words of a paragraph, each with its time: parts of it may have times of their own."""
    from ttconv.model import Br, Rp, Rt, Text  # noqa: PLC0415

    if isinstance(element, Text):
        yield span, re.sub(r"\s+", " ", element.get_text())
    elif isinstance(element, Br):
        yield span, "\n"
    elif not isinstance(element, Rt | Rp):  # the reading of a character would repeat it
        for child in element:
            yield from _pieces(child, _resolved(child, *span))


def _resolved(element: ContentElement, parent_begin: Fraction, parent_end: Fraction | None) -> _Span:
    own_begin, own_end = element.get_begin(), element.get_end()
    begin = parent_begin + (own_begin or 0)
    ends = [end for end in (parent_end, None if own_end is None else parent_begin + own_end) if end is not None]
    return begin, min(ends, default=None)


def _ns(seconds: Fraction) -> int:
    return round(seconds * NS_PER_S)
