"""Put components together: a glyph or a digit before a backdrop, a border around it, an utterance into its window."""

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
    """The colour of a digit, and whether its backdrop is darkened or brightened so that it can be read."""

    rgb: tuple[int, int, int]
    bright: bool

    @classmethod
    def any(cls, rng: Random) -> Self:
        """Return any bright or any dark colour."""
        bright = rng.random() < 0.5  # noqa: PLR2004 - a coin
        low, high = (190, 256) if bright else (0, 66)
        return cls((rng.randrange(low, high), rng.randrange(low, high), rng.randrange(low, high)), bright)


def on_backdrop(backdrop: Pixels, glyph: Pixels, rng: Random) -> Pixels:
    """Return the RGBA glyph [SIZE, SIZE, 4] before a part of the backdrop."""
    return _over(_part(backdrop, rng), glyph[..., :3], glyph[..., 3:])


def paint_digit(backdrop: Pixels, digit: Pixels, paint: DigitPaint, rng: Random) -> Pixels:
    """Return a picture of a digit, clear of the border, before a part of a backdrop that it stands out from."""
    picture = _part(backdrop, rng) // _DARKENED
    if not paint.bright:
        picture += np.uint8(_OPAQUE - _OPAQUE // _DARKENED)
    top, left = (BORDER + int(rng.random() * (_BORDER_ROOM + 1)) for _ in range(2))
    place = picture[top : top + DIGIT_SIZE, left : left + DIGIT_SIZE]
    place[...] = _over(place, np.array(paint.rgb, np.uint8), digit[..., np.newaxis])
    return picture


def add_border(picture: Pixels, colour: int, rng: Random) -> Pixels:
    """Return the picture in a border, red, green, blue or yellow, each a little different every time."""
    shade = [
        min(255, max(0, value + rng.randint(-_COLOUR_JITTER, _COLOUR_JITTER))) for value in _BORDER_COLOURS[colour]
    ]
    framed = np.empty_like(picture)
    framed[...] = np.array(shade, np.uint8)
    framed[BORDER:-BORDER, BORDER:-BORDER] = picture[BORDER:-BORDER, BORDER:-BORDER]
    return framed


def place_utterance(utterance: NDArray[np.int16] | None, samples: int, rng: Random) -> Samples:
    """Return a window's sound: the utterance somewhere in a faint noise, cut where it is longer; zeros without one.

    Every sample is a whole number of 16-bit steps, as it comes through a file.
    """
    if utterance is None:
        return np.zeros(samples, np.float32)
    start = int(rng.random() * (_NOISE_SAMPLES - samples))
    sound = _NOISE[start : start + samples] * np.float32(rng.uniform(*_NOISE_LEVELS))
    room = samples - len(utterance)
    at = int(rng.random() * (room + 1)) if room > 0 else 0
    sound[at : at + len(utterance)] += utterance[:samples] * np.float32(rng.uniform(*_GAINS))
    np.rint(sound, out=sound)  # far from the limits: an utterance comes at half of full scale
    return cast("Samples", np.multiply(sound, _S16_SCALE, out=sound))


def _part(backdrop: Pixels, rng: Random) -> Pixels:
    top, left = (int(rng.random() * (2 * MARGIN + 1)) for _ in range(2))
    return backdrop[top : top + SIZE, left : left + SIZE]


def _over(below: Pixels, above: Pixels, opacity: Pixels) -> Pixels:
    """Return one picture over another; all [..., 3], the opacity [..., 1]."""
    share = opacity.astype(np.uint16)
    mixed = above * share
    mixed += below * (_OPAQUE - share)
    mixed += _OPAQUE // 2 + 1
    mixed += mixed >> 8  # with the next line the nearest to a division by 255, which would take three times as long
    return cast("Pixels", (mixed >> 8).astype(np.uint8))
