"""Limits how much memory a PNG can take, before it is decoded.

The decoder inflates all image data, even if the picture needs little of it: one megabyte can inflate to a gigabyte. It
also reads many kinds of metadata chunks, some compressed, and reports errors in them on stderr.
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
"""The signature and the fields of the first chunk, IHDR."""
_FRAME_BYTES: Final = 12
"""The length, type and checksum of a chunk."""
_NEEDED: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_CHANNELS_OF: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""The number of channels by colour type."""
_PASSES: Final = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""The passes of an interlaced picture: first column, first row, column step, row step."""
_BLOCK_BYTES: Final = 1 << 20
"""The size of one inflation step, and the surplus data allowed after the last row."""
_MAX_INFLATION_RATIO: Final = 1_032
"""The largest ratio of inflated to deflated size."""


def bare_png(data: bytes) -> bytes:
    """Return the picture without its metadata chunks. Other errors in the data are left to the decoder.

    OpenCV allocates the declared length of a chunk before it checks the data: a hundred bytes can request four
    gigabytes.

    Raises:
        UnreadableMediaError: if a chunk is truncated, or the image data inflates to more than the size declares.
    """
    if len(data) < _SHORTEST_BYTES:
        raise UnreadableMediaError(f"picture: expected a png, got {len(data)} bytes of one")
    chunks = list(_chunks(data))
    max_bytes = _declared_bytes(data)
    compressed = [content for kind, content, _ in chunks if kind == b"IDAT"]
    if sum(map(len, compressed)) * _MAX_INFLATION_RATIO > max_bytes:
        _check_inflated_size(compressed, max_bytes)
    return data[:_SIGNATURE_BYTES] + b"".join(whole for kind, _, whole in chunks if kind in _NEEDED)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, memoryview]]:
    """Yield the type, the content and the whole of each chunk up to IEND."""
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
    """Return the inflated size of the image data: all rows, each with one byte for its filter."""
    width, height, depth, colour, _, _, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    bits = depth * _CHANNELS_OF.get(colour, 0)
    passes = _PASSES if interlace else ((0, 0, 1, 1),)
    sizes = ((-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes)
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0 and rows > 0)


def _check_inflated_size(compressed: list[memoryview], max_bytes: int) -> None:
    inflater = zlib.decompressobj()
    inflated = 0
    for content in compressed:
        rest: bytes | memoryview = content
        while len(rest) and not inflater.eof:
            try:
                inflated += len(inflater.decompress(rest, _BLOCK_BYTES))
            except zlib.error:
                return
            rest = inflater.unconsumed_tail
            if inflated > max_bytes + _BLOCK_BYTES:
                message = f"picture: expected image data of {max_bytes} bytes in the png, got more"
                raise UnreadableMediaError(message, DeadReason.TOO_LARGE)
