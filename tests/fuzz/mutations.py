"""Nearly valid inputs: the files of a corpus, damaged at random and reproducibly."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

_NUMBERS: Final = (0, 1, 2, 7, 8, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_PNG: Final = b"\x89PNG\r\n\x1a\n"


def damaged(corpus: Sequence[bytes], rng: Random, count: int) -> Iterator[bytes]:
    """Yield the corpus unchanged, then `count` inputs, each with one to four defects."""
    yield from corpus
    for _ in range(count):
        data = bytearray(rng.choice(corpus))
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            _damage(data, corpus, rng)
        # Without valid checksums decoders read nothing after a PNG's first chunk.
        yield checked_png(bytes(data)) if data.startswith(_PNG) and rng.random() < 0.8 else bytes(data)


def _damage(data: bytearray, corpus: Sequence[bytes], rng: Random) -> None:
    if not data:
        return
    # Favour the headers: they are short, and most code depends on them.
    at = rng.randrange(min(len(data), rng.choice((64, 400, len(data)))))
    match rng.randrange(7):
        case 0:
            data[at] = rng.randrange(256)
        case 1:
            data[at] ^= 1 << rng.randrange(8)
        case 2:
            form = rng.choice((">I", "<I", ">H", "<H"))
            packed = struct.pack(form, rng.choice(_NUMBERS) & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
            data[at : at + len(packed)] = packed
        case 3:
            del data[at:]
        case 4:
            del data[at : at + rng.choice((1, 4, 100))]
        case 5:
            data[at:at] = data[at : at + rng.choice((1, 4, 12, 300))] * rng.choice((1, 1, 50))
        case _:
            other = rng.choice(corpus)
            begin = rng.randrange(len(other))
            data[at : at + 40] = other[begin : begin + rng.choice((4, 40, 400))]


def checked_png(data: bytes) -> bytes:
    """Return a PNG with valid checksums of its chunks."""
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        parts.append(data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + length
    return b"".join(parts) + data[at:]
