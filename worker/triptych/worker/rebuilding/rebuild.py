"""Write the results of the results topic into a store again, as the workers wrote them.

It is safe beside running workers: both write through the same script, which refuses an id that it knows and keeps the
newest window as the latest. Results that are older than those a worker has written meanwhile come behind them in the
store. A store that is full drops what was written first, so no more older ones are written than there is room for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from triptych.schemas.codec import decode_result
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.results import Result
from triptych.transport.records import Record
from triptych.worker.publishing.stores.protocol import HeldResults, StoredResult, StreamAge

_BATCH_RESULTS: Final = 500
_BATCH_BYTES: Final = 4 << 20


class RebuildableStore(Protocol):
    """The store that is rebuilt. All methods may raise `StoreError`."""

    def write(self, batch: Sequence[StoredResult]) -> tuple[bool, ...]:
        """Store new results. Return, for each, whether it was new."""

    def held(self) -> dict[str, HeldResults]:
        """Return what the store holds of each stream."""

    def age(self, ages: Sequence[StreamAge]) -> None:
        """Let streams expire when they would have expired, had they been written when they were published."""


@dataclass(slots=True)
class RebuildReport:
    """What was done: results read, of these new to the store, left out for lack of room, and not readable."""

    read: int = 0
    new: int = 0
    left_out: int = 0
    unreadable: int = 0
    streams: set[str] = field(default_factory=set)


class Rebuild:
    """One rebuild of a store. Blocks."""

    def __init__(self, store: RebuildableStore, *, max_results: int, stream: str | None = None) -> None:
        """Rebuild `store`, which keeps `max_results` results of a stream; all streams, or one."""
        self._store = store
        self._max_results = max_results
        self._key = None if stream is None else stream.encode()
        self.report = RebuildReport()
        self._newest: dict[str, StreamAge] = {}
        self._latest: dict[str, tuple[int, int]] = {}

    def run(self, records: Callable[[], Iterable[Record]]) -> RebuildReport:
        """Write all results of the records, which are in order of arrival. `records` is called once or twice."""
        held = self._store.held()
        to_leave_out = self._without_room(held, records()) if held else {}
        for batch in _batches(self._wanted(records(), held, to_leave_out)):
            is_new = self._store.write(batch)
            self.report.new += sum(is_new)
            for stored, new in zip(batch, is_new, strict=True):
                if new:
                    self.report.streams.add(stored.result.stream)
        self._store.age([age for stream, age in sorted(self._newest.items()) if stream in self.report.streams])
        return self.report

    def _without_room(self, held: Mapping[str, HeldResults], records: Iterable[Record]) -> dict[str, int]:
        """Return of each stream that is held, how many of the oldest results have no room behind the held ones."""
        older: dict[str, int] = {}
        for stored in self._stored(records, RebuildReport()):
            kept = held.get(stored.result.stream)
            if kept is not None and stored.published_ms < kept.oldest_published_ms:
                older[stored.result.stream] = older.get(stored.result.stream, 0) + 1
        return {
            stream: max(0, count - max(0, self._max_results - held[stream].count)) for stream, count in older.items()
        }

    def _wanted(
        self, records: Iterable[Record], held: Mapping[str, HeldResults], to_leave_out: dict[str, int]
    ) -> Iterator[StoredResult]:
        for stored in self._stored(records, self.report):
            stream = stored.result.stream
            self._note(stored)
            is_older = stream in held and stored.published_ms < held[stream].oldest_published_ms
            if is_older and to_leave_out.get(stream, 0) > 0:
                to_leave_out[stream] -= 1
                self.report.left_out += 1
                continue
            yield stored

    def _stored(self, records: Iterable[Record], report: RebuildReport) -> Iterator[StoredResult]:
        for record in records:
            if self._key is not None and record.key != self._key:
                continue
            try:
                result = decode_result(record.key, record.value, record.headers)
            except MalformedRecordError:
                report.unreadable += 1
                continue
            report.read += 1
            yield StoredResult(result, record.value)

    def _note(self, stored: StoredResult) -> None:
        """Remember when the newest result and the newest window of the stream were published."""
        result: Result = stored.result
        window = (result.end_ns, result.revision)
        known = self._newest.get(result.stream)
        is_latest = window >= self._latest.get(result.stream, (-1, 0))
        if is_latest:
            self._latest[result.stream] = window
        self._newest[result.stream] = StreamAge(
            result.stream,
            max(stored.published_ms, known.published_ms if known else 0),
            stored.published_ms if is_latest or known is None else known.latest_published_ms,
        )


def _batches(results: Iterable[StoredResult]) -> Iterator[list[StoredResult]]:
    """Yield results in batches that are bounded in number and in bytes."""
    batch: list[StoredResult] = []
    size_bytes = 0
    for stored in results:
        batch.append(stored)
        size_bytes += len(stored.document)
        if len(batch) >= _BATCH_RESULTS or size_bytes >= _BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch
