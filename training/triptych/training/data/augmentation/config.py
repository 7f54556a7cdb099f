"""The configuration of window augmentation. Everything is off by default. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from triptych.schemas.errors import UsageError


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # NaN neither
        raise UsageError(f"{name}: expected {low:g} to {high:g}, got {value:g}")


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What may happen to a window. All its frames change alike, so that motion stays consistent.

    Attributes:
        crop: maximum share of height and of width to cut away before enlarging the rest.
        flip: probability of a horizontal flip. Not for frames with writing, or where sides matter.
        colour: maximum relative change of brightness, contrast and saturation.
        scale: maximum relative change of size. Uncovered areas get the mean colour.
        rotate_deg: maximum rotation in degrees, in both directions.
        shift_ms: maximum shift of the audio in milliseconds, in both directions.
        noise: probability of white noise in the audio.
        snr_low_db: lowest signal-to-noise ratio in decibels.
        snr_high_db: highest signal-to-noise ratio in decibels.
        bands: number of frequency bands to mask (SpecAugment, Park et al., 2019, arXiv 1904.08779).
        band_share: maximum width of a band as a share of all frequencies.
        spans: number of time spans to mask (SpecAugment).
        span_share: maximum length of a span as a share of the window.
        word_dropout: probability of dropping each word, or each character of Chinese and Japanese. One always stays.
    """

    crop: float = 0.0
    flip: float = 0.0
    colour: float = 0.0
    scale: float = 0.0
    rotate_deg: float = 0.0
    shift_ms: float = 0.0
    noise: float = 0.0
    snr_low_db: float = 10.0
    snr_high_db: float = 30.0
    bands: int = 0
    band_share: float = 0.15
    spans: int = 0
    span_share: float = 0.1
    word_dropout: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: a value is out of its range.
        """
        for name in ("flip", "noise", "colour", "band_share", "span_share"):
            _within(name, getattr(self, name), 0, 1)
        for name in ("crop", "scale", "word_dropout"):
            _within(name, getattr(self, name), 0, 0.95)
        _within("rotate_deg", self.rotate_deg, 0, 180)
        for name in ("shift_ms", "bands", "spans"):
            _within(name, getattr(self, name), 0, 60_000)
        _within("snr_high_db", self.snr_high_db, self.snr_low_db, 200)


USUAL: Final = Augmentation(
    crop=0.15, colour=0.3, scale=0.1, rotate_deg=8.0, shift_ms=100.0, noise=0.5, bands=2, spans=2, word_dropout=0.1
)
"""A moderate augmentation to start with. It does not flip, because that can change the label."""


def parse_augmentation(given: Iterable[str]) -> Augmentation:
    """Return the augmentation of a user's arguments: `usual`, and `NAME=VALUE` for single values.

    Raises:
        UsageError: a name is unknown, or a value is not a number or out of its range.
    """
    chosen = Augmentation()
    names = {field.name: field for field in fields(Augmentation)}
    for each in given:
        name, sign, value = each.partition("=")
        if not sign and name == "usual":
            chosen = USUAL
        elif sign and name in names:
            number: Any = _number(name, value, whole=isinstance(names[name].default, int))
            chosen = replace(chosen, **{name: number})
        else:
            raise UsageError(f"augmentation: expected usual, or NAME=VALUE of {', '.join(names)}, got {each!r}")
    return chosen


def _number(name: str, value: str, *, whole: bool) -> float:
    try:
        return int(value) if whole else float(value)
    except ValueError as error:
        raise UsageError(f"{name}: expected a{' whole' if whole else ''} number, got {value!r}") from error
