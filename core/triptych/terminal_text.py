"""Show text of others on a terminal."""

from __future__ import annotations

from typing import Final

_JOINERS: Final = "\u200c\u200d"
"""They are not printable by themselves, but join emoji and letters. They cannot control a terminal."""


def printable(shown: str) -> str:
    """Return text in which control characters, and what is no Unicode, are escaped: they could control the terminal."""
    if shown.isprintable():
        return shown
    return "".join(one if one.isprintable() or one in _JOINERS else _escaped(one) for one in shown)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
