"""Splits by group: no group of the test split is in training, whatever the data set's own splits. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from triptych.training.data.adapters.gathering import Row
from triptych.training.data.manifest import SHARES, SPLITS, Split

_VALIDATION_SHARE: Final = 0.1
_SHOWN: Final = 3


def divide_groups(groups: Iterable[str]) -> dict[str, Split]:
    """Return a split for each group. It depends only on the set of groups; shares are as near as whole groups allow."""
    ordered = _sorted_by_hash(groups)
    last_of_train = round(len(ordered) * SHARES["train"])
    last_of_validation = round(len(ordered) * (SHARES["train"] + SHARES["validation"]))
    return {
        group: "train" if place < last_of_train else "validation" if place < last_of_validation else "test"
        for place, group in enumerate(ordered)
    }


def assign_splits(rows: Sequence[Row], *, regroup: bool) -> tuple[list[Row], list[str]]:
    """Return the rows with their splits, and messages about changes.

    If the authors divided a group, its rows in the split furthest from training stay, and the others are left out. If
    there is no validation split, a tenth of the training groups becomes one.

    Args:
        rows: as gathered.
        regroup: ignore the authors' splits.
    """
    if regroup or any(row.split is None for row in rows):
        split_of_group = divide_groups(row.group for row in rows)
        return [replace(row, split=split_of_group[row.group]) for row in rows], []
    kept, problems = _without_divided_groups(rows)
    if any(row.split == "validation" for row in kept):
        return kept, problems
    groups = _sorted_by_hash(row.group for row in kept if row.split == "train")
    chosen = set(groups[: max(1, round(len(groups) * _VALIDATION_SHARE))]) if len(groups) > 1 else set()
    if chosen:
        problems.append(f"no validation split: made one of {len(chosen)} of {len(groups)} training groups")
    return [replace(row, split="validation") if row.group in chosen else row for row in kept], problems


def _without_divided_groups(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    furthest: dict[str, int] = {}
    for row in rows:
        furthest[row.group] = max(_split_index(row), furthest.get(row.group, 0))
    kept = [row for row in rows if _split_index(row) == furthest[row.group]]
    divided = {row.group for row in rows if _split_index(row) < furthest[row.group]}
    if not divided:
        return kept, []
    message = f"{len(rows) - len(kept)} of {len(rows)} items left out, because their groups are in a later split too"
    shown = ", ".join(sorted(divided)[:_SHOWN]) + (" …" if len(divided) > _SHOWN else "")
    return kept, [f"{message} (--regroup makes new splits instead): {shown}"]


def _split_index(row: Row) -> int:
    return SPLITS.index(row.split or "train")


def _sorted_by_hash(groups: Iterable[str]) -> list[str]:
    return sorted(set(groups), key=lambda group: hashlib.sha256(group.encode()).digest())
