"""Write the results of the results topic into a store again, as the workers wrote them.

It is safe beside running workers: both write through the same script, which refuses an id that it knows and keeps the
newest window as the latest. Results that are older than those a worker has written meanwhile come behind them in the
store. A store that is full drops what was written first, which then are the newer ones. So of each stream only as many
results are written as the store keeps, the newest ones of the topic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from triptych.schemas.codec import decode_result
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.results import Result
from triptych.transport.records import Record
from triptych.worker.publishing.stores.protocol import StoredResult, StreamAge

_BATCH_RESULTS: Final = 500
_BATCH_BYTES: Final = 4 << 20


class RebuildableStore(Protocol):
    """The store that is rebuilt. All methods may raise `StoreError`."""

    def write(self, batch: Sequence[StoredResult]) -> tuple[bool, ...]:
        """Store new results. Return, for each, whether it was new."""

    def age(self, ages: Sequence[StreamAge]) -> None:
        """Let streams expire when they would have expired, had they been written when they were published.

        Results that were left out count as forgotten.
        """


@dataclass(slots=True)
class RebuildReport:
    """What was done: results read, of these new to the store, left out behind newer ones, and not readable."""

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
        """Write the newest results of the records, which are in order of arrival. `records` is called twice."""
        to_leave_out = self._without_room(records())
        for batch in _batches(self._wanted(records(), to_leave_out)):
            is_new = self._store.write(batch)
            self.report.new += sum(is_new)
            for stored, new in zip(batch, is_new, strict=True):
                if new:
                    self.report.streams.add(stored.result.stream)
        # Also of streams without a new result: a rebuild that was interrupted wrote theirs, and did not come to this.
        self._store.age([age for _, age in sorted(self._newest.items())])
        return self.report

    def _without_room(self, records: Iterable[Record]) -> Counter[str]:
        """Return of each stream, how many of the oldest results are more than the store keeps."""
        counts = Counter(stored.result.stream for stored in self._stored(records, RebuildReport()))
        return Counter({stream: count - self._max_results for stream, count in counts.items()})

    def _wanted(self, records: Iterable[Record], to_leave_out: Counter[str]) -> Iterator[StoredResult]:
        for stored in self._stored(records, self.report):
            stream = stored.result.stream
            is_left_out = to_leave_out[stream] > 0
            self._note(stored, is_left_out=is_left_out)
            if is_left_out:
                to_leave_out[stream] -= 1
                self.report.left_out += 1
            else:
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

    def _note(self, stored: StoredResult, *, is_left_out: bool) -> None:
        """Remember when the newest result and the newest window of the stream were published, and what is left out."""
        result: Result = stored.result
        window = (result.end_ns, result.revision)
        known = self._newest.get(result.stream, StreamAge(result.stream, 0, stored.published_ms))
        is_latest = window >= self._latest.get(result.stream, (-1, 0))
        if is_latest:
            self._latest[result.stream] = window
        self._newest[result.stream] = StreamAge(
            result.stream,
            max(stored.published_ms, known.published_ms),
            stored.published_ms if is_latest else known.latest_published_ms,
            max(stored.published_ms, known.forgotten_published_ms) if is_left_out else known.forgotten_published_ms,
            max(stored.end_ms, known.forgotten_end_ms) if is_left_out else known.forgotten_end_ms,
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
