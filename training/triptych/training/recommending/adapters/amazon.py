"""Amazon reviews of 2018 (`reviewerID`, `asin`) and 2023 (`user_id`, `parent_asin`): JSON lines or CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from triptych.schemas.errors import UsageError
from triptych.training.recommending.adapters.imported import (
    ImportedEvent,
    ImportedItem,
    ImportedSet,
    action_of,
    named,
    opened,
    rating_of,
    row_error,
    time_ns_of,
)
from triptych.units import NS_PER_MS, NS_PER_S

_COLUMNS: Final = 4
_MOST_LABELS: Final = 8
_MOST_NAMES: Final = 5
_DENSE: Final = "_5"
"""Ends the names of the reviews of 2018 by users and of products that have five at least. Metadata has no such form."""
_JSON_ENDS: Final = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
_CSV_ENDS: Final = (".csv", ".csv.gz")


def amazon(path: Path) -> ImportedSet:
    """Return the ratings and products of a file of reviews, or of a folder with one; metadata is in `meta_NAME` beside.

    Raises:
        UsageError: there is no such file, or the folder has several; while iterating: a row is malformed.
    """
    folder = path if path.is_dir() else path.parent
    files = sorted(folder.iterdir()) if path.is_dir() else [path]
    usable = [file for file in files if file.name.endswith(_JSON_ENDS + _CSV_ENDS)]
    reviews = [file for file in usable if not file.name.startswith("meta_")]
    if not reviews or not reviews[0].is_file():
        raise UsageError(
            f"{path}: expected reviews of Amazon as .jsonl, .json or .csv, with or without .gz, found none"
        )
    if len(reviews) > 1:
        names = ", ".join(file.name for file in reviews[:_MOST_NAMES])
        raise UsageError(f"{path}: expected one file of reviews, found {len(reviews)}: {names}; name one of them")
    metadata = _metadata_of(reviews[0], sorted(folder.glob("meta_*")))
    events = _csv_events(reviews[0]) if reviews[0].name.endswith(_CSV_ENDS) else _json_events(reviews[0])
    return ImportedSet(events, () if metadata is None else _items(metadata))


def _metadata_of(reviews: Path, files: list[Path]) -> Path | None:
    """Return the file of metadata that is named after that of the reviews; the only one may have any name."""
    name = f"meta_{reviews.name.partition('.')[0]}".removesuffix(_DENSE)
    named = next((file for file in files if file.name.partition(".")[0] == name), None)
    return files[0] if named is None and len(files) == 1 else named


def _json_events(file: Path) -> Iterator[ImportedEvent]:
    for line, review in _documents(file):
        is_old = "reviewerID" in review
        names = ("reviewerID", "asin", "overall", "unixReviewTime") if is_old else _NEW_NAMES
        user, item, rating, time = (review.get(name) for name in names)
        if item is None and not is_old:
            item = review.get("asin")
        if user is None or item is None or rating is None or time is None:
            raise UsageError(f"{file}, line {line}: expected {', '.join(names)}, got {', '.join(review)[:80]}")
        moment = time_ns_of(str(time), file, line, NS_PER_S if is_old else NS_PER_MS)
        yield ImportedEvent(
            *named(str(user), str(item), file, line), action_of(rating_of(str(rating), file, line)), moment
        )


_NEW_NAMES: Final = ("user_id", "parent_asin", "rating", "timestamp")


def _csv_events(file: Path) -> Iterator[ImportedEvent]:
    """With a header, as of 2023: user, product, rating, milliseconds; without, as of 2018: product first, seconds."""
    with opened(file) as text:
        is_new = False
        for line, row in enumerate(csv.reader(text), 1):
            if line == 1 and row and row[0] == "user_id":
                is_new = True
                continue
            if len(row) < _COLUMNS:
                raise row_error(file, line, _COLUMNS, len(row))
            user, item = row[:2] if is_new else (row[1], row[0])
            moment = time_ns_of(row[3], file, line, NS_PER_MS if is_new else NS_PER_S)
            yield ImportedEvent(*named(user, item, file, line), action_of(rating_of(row[2], file, line)), moment)


def _items(file: Path) -> Iterator[ImportedItem]:
    for _, product in _documents(file):
        item, title = product.get("parent_asin") or product.get("asin"), product.get("title")
        if item and title:
            categories = product.get("categories") or product.get("category") or []
            labels = tuple(str(name) for name in categories if isinstance(name, str) and name)[:_MOST_LABELS]
            yield ImportedItem(str(item), str(title), labels)


def _documents(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with opened(file, "utf-8") as text:
        for line, row in enumerate(text, 1):
            if not row.strip():
                continue
            try:
                document = json.loads(row)
            except json.JSONDecodeError as error:
                raise UsageError(f"{file}, line {line}: expected a JSON object, got: {error}") from None
            if not isinstance(document, dict):
                raise UsageError(f"{file}, line {line}: expected a JSON object, got {row[:40]!r}")
            yield line, document
