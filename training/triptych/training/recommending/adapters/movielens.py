"""MovieLens: 100k (`u.data`), 1M (`ratings.dat`), 20M and later (`ratings.csv`), and RecBole's form (`NAME.inter`)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
from triptych.units import NS_PER_S

_GENRES_OF_100K: Final = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
_FIRST_GENRE: Final = 5
_ARTICLE: Final = re.compile(r"^(.*), (The|A|An)( \(\d{4}\))?$")
_COLUMNS: Final = 4


@dataclass(frozen=True, slots=True)
class _Layout:
    """One form of the data set: names of the files, delimiter, encoding, and whether the files have a header."""

    ratings: str
    items: str
    delimiter: str
    encoding: str
    has_header: bool
    genres: str = "|"


_LAYOUTS: Final = (
    _Layout("u.data", "u.item", "\t", "latin-1", has_header=False),
    _Layout("ratings.dat", "movies.dat", "::", "latin-1", has_header=False),
    _Layout("ratings.csv", "movies.csv", ",", "utf-8-sig", has_header=True),
    _Layout("*.inter", "*.item", "\t", "utf-8-sig", has_header=True, genres=" "),
)


def movielens(folder: Path) -> ImportedSet:
    """Return the ratings and movies of a folder.

    Raises:
        UsageError: the folder has none of the layouts; while iterating: a row is malformed.
    """
    for layout in _LAYOUTS:
        ratings = sorted(folder.glob(layout.ratings))
        if ratings:
            items = sorted(folder.glob(layout.items))
            return ImportedSet(_events(ratings[0], layout), _items(items[0], layout) if items else ())
    names = ", ".join(layout.ratings for layout in _LAYOUTS)
    raise UsageError(f"{folder}: expected one of {names} of MovieLens, found none")


def _events(file: Path, layout: _Layout) -> Iterator[ImportedEvent]:
    for line, row in _rows(file, layout.delimiter, layout):
        if len(row) < _COLUMNS:
            raise row_error(file, line, _COLUMNS, len(row))
        user, item = named(row[0], row[1], file, line)
        rating, seconds = row[2:_COLUMNS]
        time_ns = time_ns_of(seconds, file, line, NS_PER_S)
        yield ImportedEvent(user, item, action_of(rating_of(rating, file, line)), time_ns)


def _items(file: Path, layout: _Layout) -> Iterator[ImportedItem]:
    is_100k = layout.items == "u.item"
    for line, row in _rows(file, "|" if is_100k else layout.delimiter, layout):
        if len(row) < 2:  # noqa: PLR2004 - number and title
            raise row_error(file, line, 2, len(row))
        if is_100k:
            flags = zip(_GENRES_OF_100K, row[_FIRST_GENRE:], strict=False)
            genres = [genre for genre, flag in flags if flag == "1"]
        else:
            genres = row[-1].split(layout.genres)
        labels = tuple(genre for genre in genres if genre and genre not in {"unknown", "(no genres listed)"})
        yield ImportedItem(row[0], _ARTICLE.sub(r"\2 \1\3", row[1]), labels)


def _rows(file: Path, delimiter: str, layout: _Layout) -> Iterator[tuple[int, list[str]]]:
    with opened(file, layout.encoding) as text:
        if delimiter == ",":
            rows: Iterator[list[str]] = csv.reader(text)
        else:
            rows = (line.rstrip("\r\n").split(delimiter) for line in text)
        for number, row in enumerate(rows, 1):
            if row and row != [""] and not (number == 1 and layout.has_header):
                yield number, row
