"""Augmentation of text: word dropout, as in an incomplete transcript. Pure."""

from __future__ import annotations

import re
from random import Random
from typing import Final

from triptych.training.data.augmentation.config import Augmentation

_CHARACTERS: Final = "\u3040-\u30ff\u3400-\u9fff"
"""Scripts without spaces between words."""
_UNITS: Final = re.compile(rf"[{_CHARACTERS}]|[^\s{_CHARACTERS}]+|\s+")


def augment_text(text: str, augmentation: Augmentation, rng: Random) -> str:
    """Return the text without some of its words. At least one word stays."""
    if not augmentation.word_dropout:
        return text
    units = _UNITS.findall(text)
    words = [place for place, unit in enumerate(units) if not unit.isspace()]
    if not words:
        return text
    dropped = {place for place in words if rng.random() < augmentation.word_dropout}
    if len(dropped) == len(words):
        dropped.remove(rng.choice(words))
    kept = "".join(" " if unit.isspace() else unit for place, unit in enumerate(units) if place not in dropped)
    return " ".join(kept.split())
