"""Inputs that are nearly right: files of a corpus, damaged by a seeded chance."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

_NUMBERS: Final = (0, 1, 2, 7, 8, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_PNG: Final = b"\x89PNG\r\n\x1a\n"


def damaged(corpus: Sequence[bytes], chance: Random, count: int) -> Iterator[bytes]:
    """Return the corpus as it is, then so many inputs with one to four things wrong."""
    yield from corpus
    for _ in range(count):
        data = bytearray(chance.choice(corpus))
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            _damage(data, corpus, chance)
        # Without the right checksums nothing behind a PNG's first chunk would ever be looked at.
        yield checked_png(bytes(data)) if data.startswith(_PNG) and chance.random() < 0.8 else bytes(data)


def _damage(data: bytearray, corpus: Sequence[bytes], chance: Random) -> None:
    if not data:
        return
    # Headers are short and decide most.
    at = chance.randrange(min(len(data), chance.choice((64, 400, len(data)))))
    match chance.randrange(7):
        case 0:
            data[at] = chance.randrange(256)
        case 1:
            data[at] ^= 1 << chance.randrange(8)
        case 2:
            form = chance.choice((">I", "<I", ">H", "<H"))
            packed = struct.pack(form, chance.choice(_NUMBERS) & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
            data[at : at + len(packed)] = packed
        case 3:
            del data[at:]
        case 4:
            del data[at : at + chance.choice((1, 4, 100))]
        case 5:
            data[at:at] = data[at : at + chance.choice((1, 4, 12, 300))] * chance.choice((1, 1, 50))
        case _:
            other = chance.choice(corpus)
            begin = chance.randrange(len(other))
            data[at : at + 40] = other[begin : begin + chance.choice((4, 40, 400))]


def checked_png(data: bytes) -> bytes:
    """Return a PNG with the checksums that its chunks should have."""
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        parts.append(data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + length
    return b"".join(parts) + data[at:]
