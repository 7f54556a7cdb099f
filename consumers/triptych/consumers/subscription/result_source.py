"""The protocols that a source of results implements, and the events that it returns.

There are two sources: Redis streams and the results topic. A feed keeps its positions while its server is unavailable:
it retries with backoff and continues where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from triptych.schemas.errors import MalformedRecordError, TriptychError

if TYPE_CHECKING:  # importing a subscriber must not import pydantic
    from triptych.consumers.subscription.cursor import Cursor, Start
    from triptych.schemas.results import Result


class SourceError(TriptychError):
    """The results cannot be read: it is not the right server, or it rejected the credentials."""

    exit_code: ClassVar[int] = 3


class SourceUnavailableError(SourceError):
    """The server did not answer when the subscription started."""


@dataclass(frozen=True, slots=True)
class ResultEvent:
    """A result.

    Attributes:
        place: the Redis stream or the Kafka partition.
        position: how far `place` is read once this event is handled.
        result: the decoded result.
        document: its JSON exactly as published.
    """

    place: str
    position: str
    result: Result
    document: bytes


@dataclass(frozen=True, slots=True)
class MalformedEvent:
    """An entry or record that is not a valid result."""

    place: str
    position: str
    error: MalformedRecordError


@dataclass(frozen=True, slots=True)
class OtherStreamEvent:
    """A result of a stream that was not requested: a partition holds many streams."""

    place: str
    position: str


GapCause = Literal["deleted", "truncated", "recreated"]
"""Retention deleted the results, the log ends before the position, or the topic was deleted and created again."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Results that were deleted before this subscription read them.

    Attributes:
        place: the Redis stream, the Kafka partition, or `TOPIC_PLACE` (see `cursor`).
        position: where reading continues.
        missed: how many are missing, if known: results for Redis, records for Kafka.
        cause: why they are missing.
    """

    place: str
    position: str
    missed: int | None
    cause: GapCause = "deleted"


FeedEvent = ResultEvent | MalformedEvent | OtherStreamEvent | Gap


class ResultFeed(Protocol):
    """One pass over the results. Only one thread may use it at a time."""

    def poll(self, timeout_s: float) -> Sequence[FeedEvent]:
        """Return the next events. Wait at most `timeout_s`, also while the server is unavailable."""

    def done(self) -> bool:
        """Return whether `poll` has returned everything up to the end, if the feed has one."""

    def cursor(self, read: Mapping[str, str]) -> Cursor:
        """Return the cursor of a reader that has handled the events up to these positions (place to position)."""

    def close(self) -> None:
        """Release all resources. Closing twice does nothing."""


class ResultSource(Protocol):
    """The store that holds the results of one pipeline."""

    def open(self, start: Start, *, stream: str | None, until_end: bool, until: Cursor | None = None) -> ResultFeed:
        """Start a feed. With `until_end` it ends at the last result that exists now, with `until` at that position.

        A feed with `until` has no results of streams or partitions that the cursor does not name.

        Raises:
            UsageError: a cursor belongs to another source or pipeline.
            SourceError: Redis is unavailable or rejected the request.
            TransportError: Kafka is unavailable or rejected the request.
        """

    def streams(self) -> tuple[str, ...]:
        """Return the streams that have results, as far as that is known without reading all of them.

        Raises:
            SourceError: Redis is unavailable or rejected the request.
            TransportError: Kafka is unavailable or rejected the request.
        """

    def close(self) -> None:
        """Release what the feeds share. Closing twice does nothing."""
