"""The seam between a subscription and where results lie: plain events come out, in the order of their publication.

A feed survives that its server goes away: it keeps its positions, tries again with growing pauses and goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from triptych.consumers.subscription.cursor import Cursor, Start
from triptych.schemas.errors import MalformedRecordError, TriptychError
from triptych.schemas.results import Result


class SourceError(TriptychError):
    """Say that the results cannot be read: wrong server, refused password."""

    exit_code: ClassVar[int] = 3


class SourceUnavailableError(SourceError):
    """Say that the server did not answer when the subscription began."""


@dataclass(frozen=True, slots=True)
class Found:
    """A result and its JSON as published; `position` is how far `place` is read with it."""

    place: str
    position: str
    result: Result
    document: bytes


@dataclass(frozen=True, slots=True)
class Malformed:
    """Something that is no result."""

    place: str
    position: str
    error: MalformedRecordError


@dataclass(frozen=True, slots=True)
class Passed:
    """A result of a stream that was not asked for."""

    place: str
    position: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Results that were deleted before this subscription had read them.

    `missed` is how many, where that is known: results for Redis, records for Kafka.
    """

    place: str
    position: str
    missed: int | None


FeedEvent = Found | Malformed | Passed | Gap


class ResultFeed(Protocol):
    """One pass through the results. Used by one thread at a time."""

    def poll(self, timeout_s: float) -> Sequence[FeedEvent]:
        """Return what there is, waiting no longer than the time-out, even when the server is away."""

    def done(self) -> bool:
        """Say whether everything up to the end that was asked for has been returned by `poll`."""

    def cursor(self, read: Mapping[str, str]) -> Cursor:
        """Return the cursor of one who has taken the events up to these positions, and begun where the feed began."""

    def close(self) -> None:
        """Let go of everything; closing twice does nothing."""


class ResultSource(Protocol):
    """Where the results of a pipeline lie."""

    def open(self, start: Start, *, stream: str | None, until_end: bool) -> ResultFeed:
        """Begin a pass; with `until_end` it ends with what is there now.

        Raises `UsageError` for a cursor of another source, `SourceError` or `TransportError` where the server cannot
        be asked.
        """

    def close(self) -> None:
        """Let go of what the feeds share; closing twice does nothing."""
