"""What a PNG unfolds to, bounded before it is decoded.

The decoder inflates all that is there, however little of it the picture needs: a megabyte can be a gigabyte to inflate.
And it knows many kinds of notes, some of them packed as well, some of which it complains about on stderr.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from triptych.schemas.reasons import DeadReason
from triptych.worker.media.errors import UnreadableMediaError

_SIGNATURE_BYTES: Final = 8
_SHORTEST_BYTES: Final = 29
"""Signature and what the first chunk says of the picture."""
_FRAME_BYTES: Final = 12
"""Of a chunk, besides what it holds: length, kind, checksum."""
_NEEDED: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_CHANNELS_OF: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type."""
_PASSES: Final = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of an interlaced picture: first column, first row, steps of both."""
_BLOCK_BYTES: Final = 1 << 20
"""What is inflated at once; also what a careless writer may leave behind the last row."""
_MOST_UNFOLDED: Final = 1_032
"""Bytes that zlib can make of one."""


def bare_png(data: bytes) -> bytes:
    """Return the picture without notes; raise `UnreadableMediaError` where it holds more than it declares, or less.

    OpenCV believes a chunk's length before it looks whether there is so much: a hundred bytes can ask for four
    gigabytes. What else may be broken is left for it to refuse.
    """
    if len(data) < _SHORTEST_BYTES:
        raise UnreadableMediaError(f"picture: expected a png, got {len(data)} bytes of one")
    chunks = list(_chunks(data))
    most_bytes = _declared_bytes(data)
    packed = [content for kind, content, _ in chunks if kind == b"IDAT"]
    if sum(map(len, packed)) * _MOST_UNFOLDED > most_bytes:
        _check_unfolded(packed, most_bytes)
    return data[:_SIGNATURE_BYTES] + b"".join(whole for kind, _, whole in chunks if kind in _NEEDED)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, memoryview]]:
    """Return kind, content and the whole of each chunk up to the end of the picture."""
    view, at, kind = memoryview(data), _SIGNATURE_BYTES, b""
    while at + _FRAME_BYTES <= len(data) and kind != b"IEND":
        (length,) = struct.unpack_from(">I", data, at)
        kind, after = data[at + 4 : at + 8], at + _FRAME_BYTES + length
        if after > len(data):
            left = len(data) - at - _FRAME_BYTES
            raise UnreadableMediaError(f"picture: expected a chunk of {length} bytes in the png, got {left}")
        yield kind, view[at + 8 : after - 4], view[at:after]
        at = after


def _declared_bytes(data: bytes) -> int:
    """Return how many bytes the rows of the picture have, each with one that says how it was filtered."""
    width, height, depth, colour, _, _, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    bits = depth * _CHANNELS_OF.get(colour, 0)
    passes = _PASSES if interlace else ((0, 0, 1, 1),)
    sizes = ((-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes)
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0 and rows > 0)


def _check_unfolded(packed: list[memoryview], most_bytes: int) -> None:
    inflater = zlib.decompressobj()
    unfolded = 0
    for content in packed:
        rest: bytes | memoryview = content
        while len(rest) and not inflater.eof:
            try:
                unfolded += len(inflater.decompress(rest, _BLOCK_BYTES))
            except zlib.error:
                return
            rest = inflater.unconsumed_tail
            if unfolded > most_bytes + _BLOCK_BYTES:
                message = f"picture: expected a png of {most_bytes} bytes as its size has it, got one with more inside"
                raise UnreadableMediaError(message, DeadReason.TOO_LARGE)
