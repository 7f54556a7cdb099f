"""Compose components: a glyph or digit on a backdrop, a border around it, an utterance in a window."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final, Self, cast

import numpy as np
from numpy.typing import NDArray

from triptych.training.data.pools.images import DIGIT_SIZE, MARGIN, SIZE

Pixels = NDArray[np.uint8]
Samples = NDArray[np.float32]

BORDER: Final = 4
_BORDER_COLOURS: Final = ((214, 38, 38), (36, 168, 60), (40, 84, 220), (232, 206, 40))
"""Red, green, blue, yellow."""
_COLOUR_JITTER: Final = 18
_BORDER_ROOM: Final = SIZE - DIGIT_SIZE - 2 * BORDER
_OPAQUE: Final = 255
_DARKENED: Final = 3

_NOISE_SAMPLES: Final = 1 << 18
_NOISE_LEVELS: Final = (10.0, 120.0)
_GAINS: Final = (0.35, 1.0)
_S16_SCALE: Final = np.float32(1 / 32_768)
_NOISE: Final[Samples] = np.random.default_rng(0).standard_normal(_NOISE_SAMPLES).astype(np.float32)


@dataclass(frozen=True, slots=True)
class DigitPaint:
    """The colour of a digit. `bright` says whether it is bright on a darkened backdrop, or dark on a brightened one."""

    rgb: tuple[int, int, int]
    bright: bool

    @classmethod
    def any(cls, rng: Random) -> Self:
        """Return a random bright or dark colour."""
        bright = rng.random() < 0.5  # noqa: PLR2004 - a coin flip
        low, high = (190, 256) if bright else (0, 66)
        return cls((rng.randrange(low, high), rng.randrange(low, high), rng.randrange(low, high)), bright)


def on_backdrop(backdrop: Pixels, glyph: Pixels, rng: Random) -> Pixels:
    """Return a glyph over a random part of the backdrop, uint8 [SIZE, SIZE, 3].

    Args:
        backdrop: uint8 [H, W, 3].
        glyph: uint8 [SIZE, SIZE, 4], RGBA.
        rng: source of randomness.
    """
    return _blend(_random_crop(backdrop, rng), glyph[..., :3], glyph[..., 3:])


def paint_digit(backdrop: Pixels, digit: Pixels, paint: DigitPaint, rng: Random) -> Pixels:
    """Return a digit over a contrasting part of the backdrop, clear of the border, uint8 [SIZE, SIZE, 3].

    Args:
        backdrop: uint8 [H, W, 3].
        digit: uint8 [DIGIT_SIZE, DIGIT_SIZE], its opacity.
        paint: its colour.
        rng: source of randomness.
    """
    picture = _random_crop(backdrop, rng) // _DARKENED
    if not paint.bright:
        picture += np.uint8(_OPAQUE - _OPAQUE // _DARKENED)
    top, left = (BORDER + int(rng.random() * (_BORDER_ROOM + 1)) for _ in range(2))
    place = picture[top : top + DIGIT_SIZE, left : left + DIGIT_SIZE]
    place[...] = _blend(place, np.array(paint.rgb, np.uint8), digit[..., np.newaxis])
    return picture


def add_border(picture: Pixels, colour: int, rng: Random) -> Pixels:
    """Return the image [H, W, 3] with a red, green, blue or yellow border in a slightly random shade."""
    shade = [
        min(255, max(0, value + rng.randint(-_COLOUR_JITTER, _COLOUR_JITTER))) for value in _BORDER_COLOURS[colour]
    ]
    framed = np.empty_like(picture)
    framed[...] = np.array(shade, np.uint8)
    framed[BORDER:-BORDER, BORDER:-BORDER] = picture[BORDER:-BORDER, BORDER:-BORDER]
    return framed


def place_utterance(utterance: NDArray[np.int16] | None, samples: int, rng: Random) -> Samples:
    """Return a window's audio, float32 [S]: the utterance at a random time in faint noise; zeros without an utterance.

    Every sample is a multiple of the 16-bit step, as if it were read from a file. A long utterance is cut off.
    """
    if utterance is None:
        return np.zeros(samples, np.float32)
    start = int(rng.random() * (_NOISE_SAMPLES - samples))
    sound = _NOISE[start : start + samples] * np.float32(rng.uniform(*_NOISE_LEVELS))
    room = samples - len(utterance)
    at = int(rng.random() * (room + 1)) if room > 0 else 0
    sound[at : at + len(utterance)] += utterance[:samples] * np.float32(rng.uniform(*_GAINS))
    np.rint(sound, out=sound)  # does not clip: an utterance has half of full scale
    return cast("Samples", np.multiply(sound, _S16_SCALE, out=sound))


def _random_crop(backdrop: Pixels, rng: Random) -> Pixels:
    top, left = (int(rng.random() * (2 * MARGIN + 1)) for _ in range(2))
    return backdrop[top : top + SIZE, left : left + SIZE]


def _blend(below: Pixels, above: Pixels, opacity: Pixels) -> Pixels:
    """Blend one image over another, uint8 [..., 3], with an opacity uint8 [..., 1]."""
    share = opacity.astype(np.uint16)
    mixed = above * share
    mixed += below * (_OPAQUE - share)
    mixed += _OPAQUE // 2 + 1
    mixed += mixed >> 8  # with the next line, a rounded division by 255 in a third of the time
    return cast("Pixels", (mixed >> 8).astype(np.uint8))
