"""Pools in the cache: made once, whole or not at all, under a name that changes with how they are made."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from triptych.models.pretrained.download.cache import cache_folder

T = TypeVar("T")
TrackProgress = Callable[[Sequence[T], str], Iterable[T]]
"""Hand on each item of a sequence, showing under this heading how many are done."""

POOL_SPLITS = ("train", "validation", "test")
"""No component stands on two of them."""
_NAME_DIGITS = 8


def pools_folder() -> Path:
    """Return where pools are kept, beside the weights."""
    return cache_folder().parent / "pools"


def no_progress(items: Sequence[T], _: str) -> Iterable[T]:
    """Show nothing."""
    return items


def cached_pool(folder: Path, name: str, recipe: object, make: Callable[[Path], None]) -> Path:
    """Return the folder of a pool, made by `make` where it is not there yet.

    Args:
        folder: of all pools.
        name: of this one.
        recipe: all that decides its content; another recipe is another pool.
        make: fills an empty folder. Where it fails, nothing is kept.
    """
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:_NAME_DIGITS]
    pool = folder / f"{name}-{digest}"
    if pool.is_dir():
        return pool
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder))
    try:
        make(unfinished)
        (unfinished / "recipe.json").write_text(json.dumps(recipe, indent=1, sort_keys=True), encoding="utf-8")
        _publish(unfinished, pool)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return pool


def _publish(unfinished: Path, pool: Path) -> None:
    try:
        unfinished.rename(pool)
    except OSError:
        if not pool.is_dir():  # else another process made the same at the same time
            raise


def split_slices(count: int, *, train: float = 0.6, validation: float = 0.15) -> dict[str, slice]:
    """Return which of so many components stand on which shelf."""
    first, second = round(count * train), round(count * (train + validation))
    return {"train": slice(0, first), "validation": slice(first, second), "test": slice(second, count)}
