"""Subtitle text without its markup, normalised: what was said, and nothing of how it was shown."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final

# One event as FFmpeg's decoders give it: ReadOrder, Layer, Style, Name, three margins, Effect, Text.
_FIELDS_BEFORE_TEXT: Final = 8
_TOKEN: Final = re.compile(
    r"\\(?P<escaped>[{}])(?:\{\})?|\{(?P<override>[^}]*)\}|\\(?P<space>[Nnh])|(?P<other>.)", re.DOTALL
)
_DRAWING: Final = re.compile(r"\\p(\d+)")
_TAG: Final = re.compile(r"</?[A-Za-z][^<>]*>|<\d[\d:.]*>")
_BLANKS: Final = re.compile(r"[^\S\n]+")


def from_ass_event(event: str) -> str:
    """Return the plain text of one ASS event, the form to which FFmpeg brings subtitles of every text format."""
    fields = event.split(",", _FIELDS_BEFORE_TEXT)
    return normalised(_without_overrides(fields[-1]))


def from_tagged(text: str) -> str:
    """Return the plain text of HTML-like markup (SubRip, WebVTT)."""
    return normalised(html.unescape(_TAG.sub("", text)))


def normalised(text: str) -> str:
    """Return text in NFC, without control characters, without blanks that only lay it out; lines stay lines."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    kept = "".join(char for char in text if char == "\n" or unicodedata.category(char) not in {"Cc", "Cs"})
    kept = kept.replace("\ufeff", "").replace("\u200b", "")
    lines = (_BLANKS.sub(" ", line).strip() for line in unicodedata.normalize("NFC", kept).split("\n"))
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
