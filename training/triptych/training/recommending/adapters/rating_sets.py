"""The adapters of data sets with interactions, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from triptych.training.recommending.adapters.amazon import amazon
from triptych.training.recommending.adapters.imported import ReadSet
from triptych.training.recommending.adapters.microlens import microlens
from triptych.training.recommending.adapters.movielens import movielens

RATING_SETS: Final[Mapping[str, ReadSet]] = {"movielens": movielens, "microlens": microlens, "amazon": amazon}
