"""What the indexer and the search need of an index, whatever keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from triptych.consumers.searching.rows import WINDOW_PARTS, IndexRow, Part
from triptych.consumers.subscription.cursor import TOPIC_PLACE
from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT_VERSION: Final = 1
KEEP_VERSIONS: Final = timedelta(minutes=10)
"""Versions that are older are deleted. One that was the newest until just now may be older: its readers read again."""
MAX_REQUIRED_WINDOWS: Final = 10_000
"""The most windows that a condition such as `said` may leave."""

_NOT_IN_DOCUMENT: Final = ("graph", "description_topic_id")

FoundRow = Mapping[str, Any]
"""A row that was found: window, part, stream, start_ns, end_ns, its measure, and what `with_details` needs."""
DetailedRow = Mapping[str, Any]
"""A row that was found, also with result, text and details (JSON text)."""


class SearchIndexError(UsageError):
    """There is no index where one was expected, or one that cannot be used."""


class IndexReadError(SearchIndexError):
    """What a search reads has gone, or cannot be read. The same call may succeed after `refresh`."""


@dataclass(frozen=True, slots=True)
class IndexMeta:
    """What an index says of itself.

    Attributes:
        pipeline: whose windows it holds.
        version: version of its format.
        space: name of the space of its vectors; None before the first vector.
        dimensions: length of a vector; 0 before the first one.
        cursor: where to continue reading results; empty at the beginning.
        description_offsets: where to continue reading descriptions, by partition.
        description_topic_id: which topic these offsets belong to; empty if that is unknown.
        trained_rows: number of rows when the index of the vectors was last trained.
        other_spaces: number of windows whose vectors are of another space and were left out.
        graph: name of the snapshot of the graph of all rows; empty if it was not written.
    """

    pipeline: str
    version: int = FORMAT_VERSION
    space: str | None = None
    dimensions: int = 0
    cursor: str = ""
    description_offsets: Mapping[str, int] = field(default_factory=dict)
    description_topic_id: str = ""
    trained_rows: int = 0
    other_spaces: int = 0
    graph: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as JSON values, without the graph: an index keeps that apart.

        The id of the topic is among its offsets, where it does not disturb releases that know none.
        """
        document = {name: value for name, value in asdict(self).items() if name not in _NOT_IN_DOCUMENT}
        if self.description_topic_id:
            document["description_offsets"] = {**self.description_offsets, TOPIC_PLACE: self.description_topic_id}
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> IndexMeta:
        """Return what a document says. A later release may add fields without a new format; they are left out."""
        known = {one.name for one in fields(cls)}
        values = {name: value for name, value in document.items() if name in known}
        offsets = dict(values.get("description_offsets", {}))
        topic_id = offsets.pop(TOPIC_PLACE, "")
        return cls(**values | {"description_offsets": offsets, "description_topic_id": topic_id})


@dataclass(frozen=True, slots=True)
class RowConditions:
    """Which rows of an index are searched.

    Attributes:
        parts: only these parts.
        streams: only these streams; empty for all.
        stream_patterns: only streams whose names fit one of these, with `*` and `?`; empty for all.
        since_ns: only windows that end after this event time.
        until_ns: only windows that start before this event time.
        windows: only these windows; None for all.
    """

    parts: tuple[Part, ...] = WINDOW_PARTS
    streams: tuple[str, ...] = ()
    stream_patterns: tuple[str, ...] = ()
    since_ns: int | None = None
    until_ns: int | None = None
    windows: tuple[str, ...] | None = None


class IndexStore(Protocol):
    """One index, for reading, or for the only writer. Not thread-safe but for `ranks_in_threads`. Each call blocks.

    All methods raise `SearchIndexError` where the index cannot be used.
    """

    ranks_in_threads: ClassVar[bool]
    """Whether `rank_by_words` and `rank_by_meaning` may be called in two threads at the same time."""

    meta: IndexMeta
    """What the index says of itself. The next `write` stores it."""

    def close(self) -> None:
        """Release what is open. No other call may follow."""

    def refresh(self) -> None:
        """See what other processes have written."""

    def rows(self) -> int:
        """Return the number of rows."""

    def size_bytes(self) -> int:
        """Return how much the index takes on the disk."""

    def write(self, rows: Sequence[IndexRow], meta: IndexMeta) -> None:
        """Write rows and what the index says of itself in one commit. A row replaces an older one of the same key."""

    def maintain(self, *, backlog: int = 0) -> None:
        """Keep the searches of the index fast. May take minutes.

        Args:
            backlog: how many results exist that are not in the index yet.
        """

    def expire(self, before_ns: int) -> int:
        """Delete what was published before a time. Return the number of rows deleted."""

    def shrink(self, max_bytes: int) -> int:
        """Delete the oldest rows if the index is larger than that. Return the number deleted."""

    def rank_by_words(
        self, text: str, conditions: RowConditions, most: int, *, needs_all: bool = False
    ) -> list[FoundRow]:
        """Return the rows with words of a text, best first. Their measure is `words_score`: more is better.

        Args:
            text: the words.
            conditions: what the rows must meet.
            most: how many rows to return at most.
            needs_all: only rows that have all the words.
        """

    def rank_by_meaning(self, vector: NDArray[np.float32], conditions: RowConditions, most: int) -> list[FoundRow]:
        """Return the rows nearest to a vector of length 1, float32 [D], nearest first.

        Their measure is `similarity`: the cosine.
        """

    def windows_with_words(self, words: str, conditions: RowConditions, most: int) -> list[str]:
        """Return the windows that have one row with all these words."""

    def newest_rows(self, conditions: RowConditions, most_windows: int) -> list[FoundRow]:
        """Return the rows of the newest windows, newest first. The conditions leave `MAX_REQUIRED_WINDOWS` at most."""

    def with_details(self, rows: Sequence[FoundRow]) -> list[DetailedRow]:
        """Return rows that were found since the last `refresh`, in their order, with what is shown of them."""
