"""How windows are changed: a small object that a trainer is given. All is off until it is switched on. Pure."""

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
    """Say what may happen to a window. All its pictures are changed alike, so that movement stays movement.

    Attributes:
        crop: at most this share of the height and of the width is cut away, and the rest enlarged.
        flip: how often left and right are exchanged; not where pictures hold writing or sides matter.
        colour: brightness, contrast and saturation change by this share at most.
        scale: the size changes by this share at most; what is uncovered takes the mean colour.
        rotate_deg: degrees at most, either way.
        shift_ms: sound is moved against the rest by so much at most, either way.
        noise: how often white noise is mixed in.
        snr_low_db: the least distance of the sound's power to the noise's.
        snr_high_db: the greatest.
        bands: so many bands of frequencies are taken out (SpecAugment).
        band_share: each at most this share of all frequencies wide.
        spans: so many spans of time are taken out (SpecAugment).
        span_share: each at most this share of the window long.
        word_dropout: how often each word is left out; in Chinese or Japanese each character. One always stays.
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
        """Refuse what cannot be.

        Raises:
            UsageError: a number is out of its range.
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
"""A gentle one for a beginning. It does not flip: that is not harmless for every question."""


def parse_augmentation(given: Iterable[str]) -> Augmentation:
    """Return what a user asked for: `usual`, and `NAME=VALUE` for what is to be otherwise.

    Raises:
        UsageError: a name is unknown, or a value is no number or out of its range.
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
