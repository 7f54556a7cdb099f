"""What the adapters return, and how ratings become actions."""

from __future__ import annotations

import gzip
import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from triptych.schemas.errors import UsageError
from triptych.schemas.recommending.interactions import UserAction
from triptych.schemas.values import MAX_NS
from triptych.units import NS_PER_S

_LIKED_FROM: Final = 4.0
_SKIPPED_TO: Final = 2.0
_NOT_IN_IDS: Final = re.compile(r"[^A-Za-z0-9._-]+")
_MOST_CHARACTERS: Final = 100
_DIGITS: Final = 16
_MOST_RATING: Final = 5.0
_A_RATING: Final = "a rating from 0 to 5"


@dataclass(frozen=True, slots=True)
class ImportedEvent:
    """What a user of a data set did.

    Attributes:
        user: its name in the data set.
        item: the item's name there.
        action: what was done.
        time_ns: when.
    """

    user: str
    item: str
    action: UserAction
    time_ns: int


@dataclass(frozen=True, slots=True)
class ImportedItem:
    """What an item of a data set is about."""

    item: str
    title: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportedSet:
    """The events and items of a data set. Each may be iterated over once."""

    events: Iterable[ImportedEvent]
    items: Iterable[ImportedItem]


ReadSet = Callable[[Path], ImportedSet]


def action_of(rating: float) -> UserAction:
    """Return the action that a rating of one to five stands for: from 4 on liked, up to 2 skipped, else watched."""
    if rating >= _LIKED_FROM:
        return "liked"
    return "skipped" if rating <= _SKIPPED_TO else "watched"


def rating_of(text: str, file: Path, line: int) -> float:
    """Return a rating of one to five, or half a one less.

    Raises:
        UsageError: it is none.
    """
    rating = number_of(text, file, line, _A_RATING)
    if rating > _MOST_RATING:
        raise UsageError(f"{file}, line {line}: expected {_A_RATING}, got {text[:40]!r}")
    return rating


def named(user: str, item: str, file: Path, line: int) -> tuple[str, str]:
    """Return the names of a user and of an item.

    Raises:
        UsageError: one is empty.
    """
    user, item = user.strip(), item.strip()
    if not user or not item:
        raise UsageError(f"{file}, line {line}: expected the names of a user and of an item, got {user!r} and {item!r}")
    return user, item


def stream_name(prefix: str, item: str) -> str:
    """Return the id under which an item of a data set is stored: one that a stream may have.

    A name that is too long is cut, and ends with a hash of the whole.
    """
    name = _NOT_IN_IDS.sub("_", item)
    if len(name) > _MOST_CHARACTERS:
        digest = hashlib.sha256(item.encode()).hexdigest()[:_DIGITS]
        name = f"{name[: _MOST_CHARACTERS - _DIGITS - 1]}-{digest}"
    return f"{prefix}-{name}"


@contextmanager
def opened(file: Path, encoding: str = "utf-8-sig") -> Iterator[TextIO]:
    """Open a text file, which may be compressed by gzip.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        if file.suffix == ".gz":
            with gzip.open(file, "rt", encoding=encoding, newline="") as text:
                yield text
        else:
            with file.open(encoding=encoding, newline="") as text:
                yield text
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise UsageError(f"{file}: expected a file of the data set in {encoding}, got: {error}") from error


def number_of(text: str, file: Path, line: int, what: str) -> float:
    """Return a number of a file, from 0 on.

    Raises:
        UsageError: it is none, or no finite one.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise UsageError(f"{file}, line {line}: expected {what}, got {text[:40]!r}")
    return number


def time_ns_of(text: str, file: Path, line: int, unit_ns: int) -> int:
    """Return a time of a file, which is given in seconds or milliseconds.

    Raises:
        UsageError: it is no number, or too large for a time in that unit.
    """
    what = "a time in seconds" if unit_ns == NS_PER_S else "a time in milliseconds"
    time_ns = round(number_of(text, file, line, what)) * unit_ns
    if time_ns > MAX_NS:
        raise UsageError(f"{file}, line {line}: expected {what}, got {text[:40]!r}")
    return time_ns


def row_error(file: Path, line: int, columns: int, found: int) -> UsageError:
    """Return the error of a row with too few columns."""
    return UsageError(f"{file}, line {line}: expected {columns} columns, got {found}")
