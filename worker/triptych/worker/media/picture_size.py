"""Reads the size of a picture from its header, before it is decoded. Pure.

A few kilobytes can declare a picture of gigabytes, and OpenCV does not report the size without decoding. Formats other
than the three of the contract raise an error here, so that OpenCV's other decoders never see untrusted data.
"""

from __future__ import annotations

import struct
from typing import Final, Literal, NamedTuple

from triptych.schemas.reasons import DeadReason
from triptych.worker.media.errors import UnreadableMediaError

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_JPEG_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_FRAME_HEADERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_MARKER: Final = 0xFF
_JPEG_SCAN: Final = 0xDA
_WEBP_LOSSLESS_SIGNATURE: Final = 0x2F


class PictureSize(NamedTuple):
    """Format and size from the header of a picture."""

    format: Literal["jpeg", "png", "webp"]
    width: int
    height: int


def picture_size(data: bytes) -> PictureSize:
    """Return the size that the header declares.

    Raises:
        UnreadableMediaError: if the data is not JPEG, PNG or WebP, or has no valid header.
    """
    try:
        if data.startswith(_JPEG):
            size = _jpeg(data)
        elif data.startswith(_PNG):
            size = _png(data)
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            size = _webp(data)
        else:
            raise UnreadableMediaError(
                f"picture: expected JPEG, PNG or WebP, got bytes that begin with {data[:8]!r}",
                DeadReason.UNKNOWN_FORMAT,
            )
    except (struct.error, IndexError):
        size = None
    if size is None or not (size.width and size.height):
        raise UnreadableMediaError(f"picture: expected a header with its size, got {len(data)} bytes without")
    return size


def _jpeg(data: bytes) -> PictureSize | None:
    at = 2
    while data[at] == _JPEG_MARKER:
        marker = data[at + 1]
        if marker == _JPEG_MARKER:  # padding
            at += 1
        elif marker in _JPEG_WITHOUT_LENGTH:
            at += 2
        elif marker in _JPEG_FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return PictureSize("jpeg", width, height)
        elif marker == _JPEG_SCAN:
            return None
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _png(data: bytes) -> PictureSize | None:
    if data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return PictureSize("png", width, height)


def _webp(data: bytes) -> PictureSize | None:
    match data[12:16]:
        case b"VP8X":  # extended: canvas size minus one, 24 bits each
            return PictureSize("webp", 1 + _uint24(data, 24), 1 + _uint24(data, 27))
        case b"VP8L" if data[20] == _WEBP_LOSSLESS_SIGNATURE:  # size minus one, 14 bits each
            bits = struct.unpack_from("<I", data, 21)[0]
            return PictureSize("webp", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
        case b"VP8 ":  # the upper two bits of each are a display scale
            width, height = struct.unpack_from("<HH", data, 26)
            return PictureSize("webp", width & 0x3FFF, height & 0x3FFF)
        case _:
            return None


def _uint24(data: bytes, at: int) -> int:
    return data[at] | data[at + 1] << 8 | data[at + 2] << 16
