"""MicroLens: `NAME_pairs.csv` (user, video, time) or `NAME_pairs.tsv` (user, its videos in order), and titles."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from triptych.schemas.errors import UsageError
from triptych.training.recommending.adapters.imported import (
    ImportedEvent,
    ImportedItem,
    ImportedSet,
    named,
    opened,
    row_error,
    time_ns_of,
)
from triptych.units import NS_PER_MS, NS_PER_S

_COLUMNS: Final = 3
_HEADINGS: Final = {"user", "userid", "user_id", "item", "videoid", "itemid", "item_id"}


def microlens(folder: Path) -> ImportedSet:
    """Return the interactions and titles of a folder. All are `watched`: the data set says no more.

    The TSV has the order of the videos only; there, a user's events are one second apart.

    Raises:
        UsageError: the folder has no pairs; while iterating: a row is malformed.
    """
    tables, lists = sorted(folder.glob("*_pairs.csv*")), sorted(folder.glob("*_pairs.tsv*"))
    titles = sorted(path for path in folder.glob("*title*.csv*") if "pairs" not in path.name)
    if not tables and not lists:
        raise UsageError(f"{folder}: expected NAME_pairs.csv or NAME_pairs.tsv of MicroLens, found none")
    events = _table(tables[0]) if tables else _lists(lists[0])
    return ImportedSet(events, _titles(titles[0]) if titles else ())


def _table(file: Path) -> Iterator[ImportedEvent]:
    with opened(file) as text:
        for line, row in enumerate(csv.reader(text), 1):
            if not row or _is_heading(line, row):
                continue
            if len(row) < _COLUMNS:
                raise row_error(file, line, _COLUMNS, len(row))
            time_ns = time_ns_of(row[2], file, line, NS_PER_MS)
            yield ImportedEvent(*named(row[0], row[1], file, line), "watched", time_ns)


def _lists(file: Path) -> Iterator[ImportedEvent]:
    with opened(file) as text:
        for line, row in enumerate(text, 1):
            user, tab, videos = row.rstrip("\r\n").partition("\t")
            if not user:
                continue
            if not tab:
                raise row_error(file, line, 2, 1)
            for place, item in enumerate(videos.split()):
                yield ImportedEvent(user, item, "watched", place * NS_PER_S)


def _titles(file: Path) -> Iterator[ImportedItem]:
    with opened(file) as text:
        for line, row in enumerate(csv.reader(text), 1):
            if len(row) > 1 and row[1].strip() and not _is_heading(line, row):
                yield ImportedItem(row[0], row[1].strip())


def _is_heading(line: int, row: list[str]) -> bool:
    return line == 1 and row[0].strip().lower() in _HEADINGS
