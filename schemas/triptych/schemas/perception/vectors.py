"""Vectors of a window in a space that texts, pictures and sounds share."""

from __future__ import annotations

import struct
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Final

from triptych.schemas.values import Value

_BYTES: Final = 2
"""Bytes of a float16 number."""


class Vectors(Value):
    """Vectors of the window in a space that texts, pictures and sounds share, each of length 1.

    `space` names the space. Vectors of different spaces must not be compared. A vector is base64 of little-endian
    float16 numbers (`decode_vector`). `fused` is that of the window, from the modalities that are present; the others
    are those of each modality alone, null where it is missing. In a space of pictures (or of sounds) and texts, `fused`
    is the vector of the pictures (or sounds) itself, and is not repeated.
    """

    space: str
    fused: str | None = None
    video: str | None = None
    audio: str | None = None
    subtitles: str | None = None


def encode_vector(vector: Sequence[float]) -> str:
    """Return a vector as base64 of little-endian float16 numbers."""
    return b64encode(struct.pack(f"<{len(vector)}e", *vector)).decode("ascii")


def decode_vector(text: str) -> tuple[float, ...]:
    """Return the numbers of an encoded vector.

    Raises:
        ValueError: it is not base64 of float16 numbers.
    """
    content = b64decode(text, validate=True)
    if len(content) % _BYTES:
        raise ValueError(f"vector: expected float16 numbers, got {len(content)} bytes")
    return struct.unpack(f"<{len(content) // _BYTES}e", content)
