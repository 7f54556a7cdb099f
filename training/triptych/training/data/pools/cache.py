"""The cache of component pools. A pool is written atomically, in a folder named with a hash of its recipe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from triptych.files import unfinished_folder
from triptych.models.pretrained.download.cache import cache_folder

T = TypeVar("T")
TrackProgress = Callable[[Sequence[T], str], Iterable[T]]
"""Returns the items of a sequence and shows under a heading how many are done."""

POOL_SPLITS = ("train", "validation", "test")
"""No component is in two of them."""
_NAME_DIGITS = 8


def pools_folder() -> Path:
    """Return the cache folder of pools, beside that of the weights."""
    return cache_folder().parent / "pools"


def no_progress(items: Sequence[T], _: str) -> Iterable[T]:
    """Return the items without a progress display."""
    return items


def cached_pool(folder: Path, name: str, recipe: object, make: Callable[[Path], None]) -> Path:
    """Return the folder of a pool. Calls `make` first if it does not exist.

    Args:
        folder: folder of all pools.
        name: name of the pool.
        recipe: everything that decides the content. A pool with another recipe has another folder.
        make: fills an empty folder. If it raises, nothing is kept.
    """
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:_NAME_DIGITS]
    pool = folder / f"{name}-{digest}"
    if pool.is_dir():
        return pool
    folder.mkdir(parents=True, exist_ok=True)
    with unfinished_folder(pool) as unfinished:
        make(unfinished)
        (unfinished / "recipe.json").write_text(json.dumps(recipe, indent=1, sort_keys=True), encoding="utf-8")
        _publish(unfinished, pool)
    return pool


def _publish(unfinished: Path, pool: Path) -> None:
    try:
        unfinished.rename(pool)
    except OSError:
        if not pool.is_dir():  # otherwise another process made the same pool
            raise


def split_slices(count: int, *, train: float = 0.6, validation: float = 0.15) -> dict[str, slice]:
    """Return the slice of the components that belongs to each split."""
    first, second = round(count * train), round(count * (train + validation))
    return {"train": slice(0, first), "validation": slice(first, second), "test": slice(second, count)}
