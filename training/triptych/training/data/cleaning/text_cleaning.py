"""Remove markup, links and encoding errors from text. Pure."""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

_TAG: Final = re.compile(r"</?[A-Za-z][^<>]*>|\{\\[^{}]*\}")
"""HTML tags, and override codes of ASS in braces."""
_LINK: Final = re.compile(r"(?:https?://|www\.)\S+")
_SPACES: Final = re.compile(r"\s+")
_SPOILT: Final = ("Ã", "Â", "â€")
"""How UTF-8 that was decoded as Windows-1252 starts."""


@dataclass(frozen=True, slots=True)
class CleanedText:
    """The remaining text, possibly empty, and what was removed from it."""

    text: str
    noise: tuple[str, ...]


def clean_text(text: str) -> CleanedText:
    """Return the text without noise. Whitespace and Unicode composition are normalised without being reported."""
    noise: list[str] = []
    if any(mark in text for mark in _SPOILT):
        text = _step(text, _decoded_again(text), "another encoding", noise)
    text = _step(text, html.unescape(_TAG.sub(" ", text)), "markup", noise)
    text = _step(text, _LINK.sub(" ", text), "a link", noise)
    text = _step(text, "".join(each for each in text if not _is_control(each)), "control characters", noise)
    text = _step(text, text.replace("\ufffd", ""), "lost characters", noise)
    text = _SPACES.sub(" ", unicodedata.normalize("NFC", text)).strip()
    if not any(each.isalnum() for each in text):
        noise.append("no words")
        text = ""
    return CleanedText(text, tuple(noise))


def _step(before: str, after: str, what: str, noise: list[str]) -> str:
    if after != before:
        noise.append(what)
    return after


def _decoded_again(text: str) -> str:
    try:
        return text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return text


def _is_control(character: str) -> bool:
    return (
        unicodedata.category(character) in {"Cc", "Cf", "Co", "Cn"}
        and not character.isspace()
        and character not in _JOINERS
    )


_JOINERS: Final = "\u200c\u200d"
"""Characters that some scripts and emoji need."""
