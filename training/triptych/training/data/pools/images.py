"""The pool of image components: backdrops from photographs, handwritten digits, and faces and objects from emoji.

scikit-learn ships the photographs and the digits; both are free to use, and its documentation names their authors. The
glyphs are those of Noto Color Emoji (OFL-1.1) from the system's fonts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.schemas.errors import UsageError
from triptych.training.data.pools.cache import POOL_SPLITS, TrackProgress, cached_pool, no_progress, split_slices

Pixels = NDArray[np.uint8]

SIZE: Final = 48
"""Height and width of a frame in pixels."""
MARGIN: Final = 4
"""Backdrops are larger than a frame by this many pixels on each side, so that a frame can be cut at a random offset."""
DIGIT_SIZE: Final = 30
FONT: Final = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
HELD_OUT: Final = "glyphs"
"""The split of the faces that no other split has."""

FACES: Final[Mapping[str, str]] = {
    "negative": "😞😟😠😡😢😭😣😖😫😩😨😱😰😥🙁🤬",
    "neutral": "😐😑😶🤔😬🙄😴🤐😯😮",
    "positive": "😀😃😄😁😆😊🙂😍🥰😘🤩🥳😇😂🤗😋",
}
HELD_OUT_FACES: Final[Mapping[str, str]] = {"negative": "😿😾😤😦", "neutral": "🤨🧐🥱", "positive": "😺😸😙🤣"}
THINGS: Final = "🍎🚗🌳🏠🎈🔑📦⚽🎸📚☂✈"

_FONT_POINTS: Final = 109  # the only size of the font
_CROPS: Final = 2_000
_VARIANTS: Final[Mapping[str, int]] = {"train": 24, "validation": 8, "test": 8}
_RECIPE: Final = {
    "version": 1,
    "size": SIZE,
    "margin": MARGIN,
    "digit": DIGIT_SIZE,
    "crops": _CROPS,
    "variants": dict(_VARIANTS),
    "glyphs": [dict(FACES), dict(HELD_OUT_FACES), THINGS],
}


class PicturePool:
    """Random image components. A split is one of `POOL_SPLITS`; for a face also `HELD_OUT`."""

    def __init__(self, folder: Path) -> None:
        self._arrays: dict[str, Pixels] = {file.stem: np.load(file) for file in folder.glob("*.npy")}

    def backdrop(self, split: str, rng: Random) -> Pixels:
        """Return part of a photograph, uint8 [SIZE + 2 MARGIN, SIZE + 2 MARGIN, 3]."""
        return self._one(f"backdrop-{split}", rng)

    def digit(self, split: str, value: int, rng: Random) -> Pixels:
        """Return the opacity of a handwritten digit, uint8 [DIGIT_SIZE, DIGIT_SIZE]."""
        return self._one(f"digit-{value}-{split}", rng)

    def face(self, split: str, mood: str, rng: Random) -> Pixels:
        """Return a face, uint8 [SIZE, SIZE, 4] (RGBA)."""
        return self._one(f"{mood}-{split}", rng)

    def thing(self, split: str, rng: Random) -> Pixels:
        """Return an object that is neither face nor digit, uint8 [SIZE, SIZE, 4] (RGBA)."""
        return self._one(f"thing-{split}", rng)

    def _one(self, name: str, rng: Random) -> Pixels:
        array = self._arrays[name]
        return cast("Pixels", array[int(rng.random() * len(array))])


def picture_pool(folder: Path, track: TrackProgress[Any] = no_progress) -> PicturePool:
    """Return the pool. Renders it first if it is not in the folder.

    Raises:
        UsageError: the font is not installed.
    """
    return PicturePool(cached_pool(folder, "pictures", _RECIPE, lambda pool: _render(pool, track)))


def _render(pool: Path, track: TrackProgress[Any]) -> None:
    if not FONT.is_file():
        raise UsageError(f"the font {FONT} is missing; on Debian: apt-get install fonts-noto-color-emoji")
    for name, pixels in (_backdrops() | _digits()).items():
        np.save(pool / name, pixels)
    groups = {**FACES, "thing": THINGS}
    jobs = [(name, split, glyphs, _VARIANTS[split]) for name, glyphs in groups.items() for split in POOL_SPLITS]
    jobs += [(name, HELD_OUT, glyphs, _VARIANTS["test"]) for name, glyphs in HELD_OUT_FACES.items()]
    for name, split, glyphs, variants in track(jobs, "drawing glyphs"):
        np.save(pool / f"{name}-{split}", _draw_glyphs(glyphs, variants, Random(f"{name}/{split}")))


def _backdrops() -> dict[str, Pixels]:
    """Cut the photographs into columns, one for each split, and take squares of many sizes from each."""
    from sklearn.datasets import load_sample_images  # noqa: PLC0415 - scikit-learn is slow to import

    photographs = [cast("Pixels", photograph) for photograph in load_sample_images().images]
    side = SIZE + 2 * MARGIN
    found: dict[str, Pixels] = {}
    for split in POOL_SPLITS:
        rng = Random(f"backdrop/{split}")
        columns = [photograph[:, split_slices(photograph.shape[1])[split]] for photograph in photographs]
        count = round(_CROPS * {"train": 0.6, "validation": 0.15, "test": 0.25}[split])
        crops = [_square(columns[number % len(columns)], rng) for number in range(count)]
        found[f"backdrop-{split}"] = np.stack(
            [cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA) for crop in crops]
        ).astype(np.uint8)
    return found


def _square(photograph: Pixels, rng: Random) -> Pixels:
    side = rng.randint(SIZE + 2 * MARGIN, min(*photograph.shape[:2], 4 * SIZE))
    top = rng.randint(0, photograph.shape[0] - side)
    left = rng.randint(0, photograph.shape[1] - side)
    return photograph[top : top + side, left : left + side]


def _digits() -> dict[str, Pixels]:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - as above

    digits = load_digits()
    order = list(range(len(digits.images)))
    Random("digits").shuffle(order)
    return {
        f"digit-{value}-{split}": np.stack(
            [_enlarged(digits.images[number]) for number in order[members] if digits.target[number] == value]
        )
        for split, members in split_slices(len(order)).items()
        for value in range(10)
    }


def _enlarged(image: NDArray[np.float64]) -> Pixels:
    """Return a digit float [8, 8] from 0 to 16 as uint8 [DIGIT_SIZE, DIGIT_SIZE] from 0 to 255, enlarged smoothly."""
    large = cv2.resize(image * (255 / 16), (DIGIT_SIZE, DIGIT_SIZE), interpolation=cv2.INTER_CUBIC)
    return np.clip(np.rint(large), 0, 255).astype(np.uint8)


def _draw_glyphs(glyphs: Sequence[str], variants: int, rng: Random) -> Pixels:
    """Draw each glyph several times with random size, rotation and position: uint8 [N, SIZE, SIZE, 4]."""
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - only for rendering

    font = ImageFont.truetype(str(FONT), _FONT_POINTS)
    drawn = []
    for glyph in glyphs:
        canvas = Image.new("RGBA", (136, 128), (0, 0, 0, 0))
        ImageDraw.Draw(canvas).text((0, 0), glyph, font=font, embedded_color=True)
        glyph_only = canvas.crop(canvas.getbbox())
        for _ in range(variants):
            side = rng.randint(30, 42)
            turned = glyph_only.rotate(rng.uniform(-15, 15), Image.Resampling.BICUBIC, expand=False)
            picture = Image.new("RGBA", (SIZE, SIZE), (0, 0, 0, 0))
            place = (rng.randint(0, SIZE - side), rng.randint(0, SIZE - side))
            picture.paste(turned.resize((side, side), Image.Resampling.LANCZOS), place)
            drawn.append(np.asarray(picture))
    return np.stack(drawn)
