"""The characters of CEA-708 captions (CTA-708-E, chapter 7.1) in Unicode. Pure."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "_"
"""The replacement for undefined characters (CTA-708-E 7.1.1)."""

_MUSIC_NOTE: Final = 0x7F
_G2: Final = {
    0x20: " ",  # transparent space; the next one is its non-breaking form
    0x21: "\N{NO-BREAK SPACE}",
    0x25: "…",
    0x2A: "Š",
    0x2C: "Œ",
    0x30: "█",
    0x31: "\N{LEFT SINGLE QUOTATION MARK}",
    0x32: "\N{RIGHT SINGLE QUOTATION MARK}",
    0x33: "“",
    0x34: "”",
    0x35: "•",
    0x39: "™",
    0x3A: "š",
    0x3C: "œ",
    0x3D: "℠",
    0x3F: "Ÿ",
    0x76: "⅛",
    0x77: "⅜",
    0x78: "⅝",
    0x79: "⅞",
    0x7A: "│",
    0x7B: "┐",
    0x7C: "└",
    0x7D: "─",
    0x7E: "┘",
    0x7F: "┌",
}
_G3: Final = {0xA0: "[CC]"}  # the closed caption symbol


def plain_character(code: int) -> str:
    """Return a character of G0 (ASCII, with a music note at its end) or G1 (Latin-1)."""
    return "♪" if code == _MUSIC_NOTE else chr(code)


def extended_character(code: int) -> str:
    """Return a character of G2 or G3, whose codes follow EXT1."""
    return _G2.get(code) or _G3.get(code) or UNKNOWN
