"""Follow the results and descriptions of a pipeline and write them to its index."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import structlog

from triptych.consumers.searching.cue_names import with_names
from triptych.consumers.searching.description_feed import DescriptionFeed
from triptych.consumers.searching.index_store import KEEP_VERSIONS
from triptych.consumers.searching.rows import IndexRow, index_rows, vector_space
from triptych.consumers.subscription.log_reading import records_after
from triptych.consumers.subscription.subscriber import Results, Subscriber
from triptych.schemas.names import results_topic
from triptych.transport.errors import RetriableError
from triptych.units import NS_PER_S

if TYPE_CHECKING:
    from triptych.consumers.searching.cue_names import NameFinder
    from triptych.consumers.searching.index_store import IndexStore
    from triptych.consumers.subscription.cursor import Since
    from triptych.schemas.results import Result
    from triptych.transport.protocols import Transport

log = structlog.get_logger(__name__)

_BATCH_WINDOWS: Final = 2_000
_COMMIT_EVERY_S: Final = 1.0
"""The longest time until a window can be found."""
_MAINTAIN_EVERY_S: Final = 60.0
_POLL_TIMEOUT_S: Final = 0.25
_MAINTAIN_EVERY_COMMITS: Final = 200
"""Each commit adds small files, which make searches slower until they are merged."""


@dataclass(frozen=True, slots=True)
class Retention:
    """What is deleted from the index.

    Attributes:
        keep_s: rows older than that, by the time of their publication, in seconds; None keeps all.
        max_bytes: if the index is larger, its oldest rows; None for no limit.
    """

    keep_s: float | None = None
    max_bytes: int | None = None


@dataclass(slots=True)
class IndexCounts:
    """What one run has done."""

    windows: int = 0
    descriptions: int = 0
    malformed: int = 0
    commits: int = 0
    expired: int = 0


@dataclass(slots=True)
class IndexLoop:
    """Writes batches of results and descriptions, each with the positions behind it, in one commit.

    Attributes:
        index: the index, open for writing.
        retention: what is deleted.
        names: finds the names in cues; None for the rules of `graph.mentions`.
        monotonic_s: clock of the intervals.
        wall_ns: clock of the retention.
    """

    index: IndexStore
    retention: Retention = Retention()
    names: NameFinder | None = None
    monotonic_s: Callable[[], float] = time.monotonic
    wall_ns: Callable[[], int] = time.time_ns
    counts: IndexCounts = field(default_factory=IndexCounts)
    _rows: list[IndexRow] = field(default_factory=list, init=False)
    _positions: Mapping[str, str] = field(default_factory=dict, init=False)
    _commits_since: int = field(default=0, init=False)
    _maintained_s: float = field(default=0.0, init=False)
    _next_shrink_s: float = field(default=0.0, init=False)

    def run(
        self, transport: Transport, stop: threading.Event, *, since: Since | None = None, until_end: bool = False
    ) -> IndexCounts:
        """Index until a stop, or until the end of what exists now. Blocks.

        Args:
            transport: where the results and descriptions are.
            stop: ends the run after the batch that is being read.
            since: where a new index begins. One that has been written to continues where it ends.
            until_end: end at the last result and description that exist now.

        Raises:
            TriptychError: the broker rejected the program, or a topic does not exist.
        """
        meta = self.index.meta
        self._maintained_s = self.monotonic_s()
        with (
            Subscriber.from_transport(transport, pipeline=meta.pipeline) as subscriber,
            subscriber.results(None, meta.cursor or since, until_end=until_end, revisions="all") as results,
            closing(DescriptionFeed(transport, meta, since)) as descriptions,
        ):
            has_more = True
            while has_more and not stop.is_set():
                has_more = self._fill(results, descriptions)
                self._commit(results, descriptions)
                self._maintain_if_due(transport)
            if until_end:
                descriptions.end_now()
            while not stop.is_set() and until_end and not descriptions.is_at_end():
                self._take_descriptions(descriptions, _POLL_TIMEOUT_S)
                if len(self._rows) >= _BATCH_WINDOWS:
                    self._commit(results, descriptions)
                    self._maintain_if_due(transport)
            self._commit(results, descriptions)
            self.counts.malformed = subscriber.counts.malformed + descriptions.malformed
        self.maintain(self._backlog(transport))
        return self.counts

    def maintain(self, backlog: int = 0) -> None:
        """Delete what is too old or too much, and keep the indexes of the table up to date.

        Args:
            backlog: how many results exist that are not in the index yet.
        """
        if self.retention.keep_s is not None:
            self.counts.expired += self.index.expire(self.wall_ns() - round(self.retention.keep_s * NS_PER_S))
        started_s = self.monotonic_s()
        self.index.maintain(backlog=backlog)
        if self.retention.max_bytes is not None and started_s >= self._next_shrink_s:
            shrunk = self.index.shrink(self.retention.max_bytes)
            if shrunk:
                self.counts.expired += shrunk
                self.index.maintain(backlog=backlog)
                # Until then, readers of older versions keep the deleted rows on the disk.
                self._next_shrink_s = started_s + KEEP_VERSIONS.total_seconds() + 2 * _MAINTAIN_EVERY_S
        self._commits_since, self._maintained_s = 0, self.monotonic_s()
        log.info(
            "index_maintained",
            rows=self.index.rows(),
            bytes=self.index.size_bytes(),
            expired=self.counts.expired,
            backlog=backlog,
            took_s=round(self._maintained_s - started_s, 3),
        )

    def _maintain_if_due(self, transport: Transport) -> None:
        is_long_ago = self.monotonic_s() - self._maintained_s >= _MAINTAIN_EVERY_S
        has_work = self._commits_since > 0 or self.retention != Retention()
        if self._commits_since >= _MAINTAIN_EVERY_COMMITS or (is_long_ago and has_work):
            self.maintain(self._backlog(transport))

    def _backlog(self, transport: Transport) -> int:
        """Return how many results exist that are not in the index yet. While the broker is away, these are none."""
        try:
            return records_after(transport, results_topic(self.index.meta.pipeline), self._positions)
        except RetriableError as error:
            log.warning("index_backlog_unknown", reason=str(error))
            return 0

    def _fill(self, results: Results, descriptions: DescriptionFeed) -> bool:
        """Gather rows until a batch is full or its time is over. Return whether there can be more."""
        deadline_s = self.monotonic_s() + _COMMIT_EVERY_S
        taken = 0
        while True:
            while taken < _BATCH_WINDOWS and (delivery := results.take()) is not None:
                self._add(delivery.result)
                taken += 1
            self._take_descriptions(descriptions)
            if taken >= _BATCH_WINDOWS or self.monotonic_s() >= deadline_s:
                return True
            if not results.fetch():
                return False

    def _add(self, result: Result) -> None:
        self.counts.windows += 1
        space = vector_space(result)
        try:
            rows = index_rows(result, space)
        except ValueError as error:
            self._leave_out_vectors(result, str(error))
            return
        vectors = [row.vector for row in rows if row.vector is not None]
        if not all(0 < math.hypot(*vector) < math.inf for vector in vectors):
            self._leave_out_vectors(
                result, "expected vectors of length 1, got one with NaN or infinity, or of length 0"
            )
            return
        lengths = set(map(len, vectors))
        meta = self.index.meta
        if meta.space is None and len(lengths) == 1:
            meta = self.index.meta = replace(meta, space=space, dimensions=lengths.pop())
            log.info("index_space", space=space, dimensions=meta.dimensions)
        elif lengths and (space, lengths) != (meta.space, {meta.dimensions}):
            self._leave_out_vectors(result, f"expected {meta.dimensions} numbers in the space {meta.space}")
            return
        self._rows += rows

    def _leave_out_vectors(self, result: Result, reason: str) -> None:
        """Index the words of a result whose vectors cannot be compared with those of the index."""
        if not self.index.meta.other_spaces:
            log.warning(
                "index_other_space",
                stream=result.stream,
                result=result.id,
                space=vector_space(result),
                reason=reason,
                hint="such windows are found by their words only; write a new index to search another space",
            )
        self.index.meta = replace(self.index.meta, other_spaces=self.index.meta.other_spaces + 1)
        self._rows += index_rows(result, None)

    def _take_descriptions(self, descriptions: DescriptionFeed, timeout_s: float = 0.0) -> None:
        rows = descriptions.poll(timeout_s)
        self._rows += rows
        self.counts.descriptions += len(rows)

    def _commit(self, results: Results, descriptions: DescriptionFeed) -> None:
        self._positions = results.cursor.positions
        meta = replace(
            self.index.meta,
            cursor=str(results.cursor),
            description_offsets=descriptions.offsets(),
            description_topic_id=descriptions.topic_id,
        )
        if not self._rows and meta == self.index.meta:
            return
        self.index.write(self._rows if self.names is None else with_names(self._rows, self.names), meta)
        self._rows = []
        self.counts.commits += 1
        self._commits_since += 1
