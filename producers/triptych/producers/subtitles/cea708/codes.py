"""The codes of CEA-708 captions (CTA-708-E, chapter 7.1): split the bytes of a service into commands. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

EXTENDED: Final = 0x1000
"""Added to the codes that follow EXT1."""

G0, G1 = range(0x20, 0x80), range(0xA0, 0x100)
G2, G3 = range(EXTENDED + 0x20, EXTENDED + 0x80), range(EXTENDED + 0xA0, EXTENDED + 0x100)
"""Codes of characters. All others are commands."""

_EXT1: Final = 0x10
_C0: Final = range(0x20)
_C2: Final = range(EXTENDED, EXTENDED + 0x20)
_C3_FIXED: Final = range(EXTENDED + 0x80, EXTENDED + 0x90)
_C3_VARIABLE: Final = range(EXTENDED + 0x90, EXTENDED + 0xA0)
_C1: Final = {
    **dict.fromkeys(range(0x88, 0x8E), 1), 0x90: 2, 0x91: 3, 0x92: 2, 0x97: 4, **dict.fromkeys(range(0x98, 0xA0), 6),
}  # fmt: skip
"""The number of parameter bytes of C1 codes that have any."""


class Command(NamedTuple):
    """A code and its parameters."""

    code: int
    parameters: bytes


def split(content: bytes) -> tuple[list[Command], bytes]:
    """Split bytes into commands; return them and the bytes of an incomplete one at the end."""
    commands: list[Command] = []
    at = 0
    while at < len(content):
        code, head = content[at], 1
        if code == _EXT1:
            if at + 1 == len(content):
                break
            code, head = EXTENDED + content[at + 1], 2
        end = at + head + _length(code, content[at + head :])
        if end > len(content):
            break
        commands.append(Command(code, content[at + head : end]))
        at = end
    return commands, content[at:]


def _length(code: int, following: bytes) -> int:
    """Return the number of parameter bytes of a code. Reserved codes have some too, which are skipped."""
    if code in _C0:
        return (0, 0, 1, 2)[code >> 3]
    if code in _C2:
        return code >> 3 & 0x03
    if code in _C3_FIXED:
        return 4 + (code >> 3 & 0x01)
    if code in _C3_VARIABLE:
        return 1 + (following[0] & 0x1F if following else 0)
    return _C1.get(code, 0)
