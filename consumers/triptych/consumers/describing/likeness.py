"""Whether a window shows the same as another one: vectors, the coarse picture, and the words. No I/O."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Final

from triptych.schemas.perception.descriptions import WindowLikeness
from triptych.schemas.perception.vectors import decode_vector, encode_vector, fused_vector
from triptych.schemas.results import Result

_WORD_HASH_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class LikenessLimits:
    """How much two windows may differ and still show the same.

    Attributes:
        cosine: the smallest cosine of their vectors, from -1 to 1.
        layout_bits: the largest number of the 64 bits of their layouts that differ. Unrelated views differ in about 32.
    """

    cosine: float = 0.97
    layout_bits: int = 6


def likeness_of(result: Result) -> WindowLikeness:
    """Return by what the window of a result is compared with others.

    The vector is the fused one of `vectors`, or else the embedding, which is only comparable within one model.
    """
    space = vector = None
    fused = None if result.vectors is None else fused_vector(result.vectors)
    if result.vectors is not None and fused is not None:
        space, vector = result.vectors.space, encode_vector(fused)
    elif result.embedding is not None:
        space, vector = f"embedding:{result.model.sha256[:16]}", encode_vector(result.embedding)
    layout = None if result.quality is None else result.quality.layout
    words = {_word_hash(words.text) for words in result.observations.words}
    return WindowLikeness(space=space, vector=vector, layout=layout, words=tuple(sorted(words)))


def shows_the_same(window: WindowLikeness, earlier: WindowLikeness, limits: LikenessLimits) -> bool:
    """Return whether a window shows the same as an earlier one, and has no words that the earlier one lacks.

    Each measure that both windows have must agree, and there must be at least one: vectors of one space, or layouts.
    """
    if not set(window.words) <= set(earlier.words):
        return False
    agreements: list[bool] = []
    if window.vector is not None and earlier.vector is not None and window.space == earlier.space:
        agreements.append(_cosine(decode_vector(window.vector), decode_vector(earlier.vector)) >= limits.cosine)
    if window.layout is not None and earlier.layout is not None:
        agreements.append(_differing_bits(window.layout, earlier.layout) <= limits.layout_bits)
    return bool(agreements) and all(agreements)


def _cosine(left: tuple[float, ...], right: tuple[float, ...]) -> float:
    norms = math.hypot(*left) * math.hypot(*right)
    if len(left) != len(right) or not norms:
        return -1.0
    return math.fsum(one * other for one, other in zip(left, right, strict=True)) / norms


def _differing_bits(left: str, right: str) -> int:
    return (int(left, 16) ^ int(right, 16)).bit_count()


def _word_hash(text: str) -> str:
    normal = " ".join(text.casefold().split())
    return hashlib.sha256(normal.encode()).hexdigest()[:_WORD_HASH_DIGITS]
