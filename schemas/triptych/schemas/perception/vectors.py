"""Vectors of a window in a space that texts, pictures and sounds share."""

from __future__ import annotations

import math
import operator
import struct
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from pydantic import Field

from triptych.schemas.names import Modality
from triptych.schemas.values import FROZEN_MAPPING, WRITTEN_WHERE_TRUE, Value

_BYTES: Final = 2
"""Bytes of a float16 number."""


class Vectors(Value):
    """Vectors of the window in a space that texts, pictures and sounds share, each of length 1.

    `space` names the space. Vectors of different spaces must not be compared. A vector is base64 of little-endian
    float16 numbers (`decode_vector`). `video`, `audio` and `subtitles` are those of each modality alone, null where it
    is missing. The vector of the window is `fused`. Where that is null, it is the sum of the vectors of the modalities
    times their `weights`, scaled to length 1 (`fused_vector`). In a space of pictures (or of sounds) and texts,
    `fused` is the vector of the pictures (or sounds) itself, or of the words in a window without them, and is not
    repeated.
    """

    space: str
    fused: str | None = None
    video: str | None = None
    audio: str | None = None
    subtitles: str | None = None
    weights: Annotated[Mapping[Modality, float], *FROZEN_MAPPING] | None = Field(
        default=None, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE
    )


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


def fused_vector(vectors: Vectors) -> tuple[float, ...] | None:
    """Return the vector of the window: the published one, or the weighted sum of those of the modalities, of length 1.

    None if there is neither.

    Raises:
        ValueError: a vector is not base64 of float16 numbers, or they have different lengths.
    """
    if vectors.fused is not None:
        return decode_vector(vectors.fused)
    by_modality = {"video": vectors.video, "audio": vectors.audio, "subtitles": vectors.subtitles}
    terms = [
        [weight * number for number in decode_vector(encoded)]
        for modality, weight in (vectors.weights or {}).items()
        if (encoded := by_modality[modality]) is not None
    ]
    total = [math.fsum(numbers) for numbers in zip(*terms, strict=True)]
    length = math.hypot(*total)
    return tuple(number / length for number in total) if length else None
