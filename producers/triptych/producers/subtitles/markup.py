"""Strip the markup from subtitle text, and normalise it."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final

# An event as FFmpeg's decoders return it: ReadOrder, Layer, Style, Name, three margins, Effect, Text.
_FIELDS_BEFORE_TEXT: Final = 8
_TOKEN: Final = re.compile(
    r"\\(?P<escaped>[{}])(?:\{\})?|\{(?P<override>[^}]*)\}|\\(?P<space>[Nnh])|(?P<other>.)", re.DOTALL
)
_DRAWING: Final = re.compile(r"\\p(\d+)")
_TAG: Final = re.compile(r"</?[A-Za-z][^<>]*>|<\d[\d:.]*>")
_SPACES: Final = re.compile(r"[^\S\n]+")


def from_ass_event(event: str) -> str:
    """Return the plain text of one ASS event. FFmpeg converts the subtitles of every text format to these."""
    fields = event.split(",", _FIELDS_BEFORE_TEXT)
    return from_ass_text(fields[-1])


def from_ass_text(text: str) -> str:
    """Return the plain text of the text field of an ASS event."""
    return normalise(_without_overrides(text))


def from_tagged(text: str) -> str:
    """Return the plain text of HTML-like markup (SubRip, WebVTT)."""
    return normalise(html.unescape(_TAG.sub("", text)))


def normalise(text: str) -> str:
    """Return text in NFC, without control characters and superfluous spaces. Line breaks are kept."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    kept = "".join(char for char in text if char == "\n" or unicodedata.category(char) not in {"Cc", "Cs"})
    kept = kept.replace("\ufeff", "").replace("\u200b", "")
    lines = (_SPACES.sub(" ", line).strip() for line in unicodedata.normalize("NFC", kept).split("\n"))
    return "\n".join(line for line in lines if line)


def _without_overrides(text: str) -> str:
    out: list[str] = []
    drawing = False
    for token in _TOKEN.finditer(text):
        override = token["override"]
        if override is not None:
            for scale in _DRAWING.findall(override):
                drawing = int(scale) > 0
        elif not drawing:
            out.append(_plain(token))
    return "".join(out)


def _plain(token: re.Match[str]) -> str:
    if token["space"]:
        return " " if token["space"] == "h" else "\n"
    return str(token["escaped"] or token["other"])
