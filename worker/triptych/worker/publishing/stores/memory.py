"""A result store in memory, for the demo and tests. It is also a readable model of the Redis scripts."""

from __future__ import annotations

import heapq
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Final

from triptych.units import NS_PER_S
from triptych.worker.publishing.stores.protocol import StoredResult, StoreLimits

_NOTHING_MS: Final = -1


class _Stream:
    """The results of one stream."""

    def __init__(self, max_results: int) -> None:
        self.documents: deque[bytes] = deque(maxlen=max_results)
        self.index: dict[str, StoredResult] = {}
        self.by_publication: list[tuple[int, str]] = []  # a heap
        self.latest: bytes | None = None
        self.latest_until_ns = 0
        self.newest = (_NOTHING_MS, 0)  # end and revision of the newest window
        self.forgotten_published_ms = _NOTHING_MS
        self.forgotten_end_ms = _NOTHING_MS
        self.expires_ns = 0

    def is_duplicate(self, stored: StoredResult) -> bool:
        """Return whether the result's id is in the index, or was and has been evicted."""
        is_evicted = stored.published_ms <= self.forgotten_published_ms and stored.end_ms <= self.forgotten_end_ms
        return stored.result.id in self.index or is_evicted

    def add(self, stored: StoredResult, max_results: int) -> None:
        """Append a result. Evict the ids that were published first."""
        self.documents.append(stored.document)
        self.index[stored.result.id] = stored
        heapq.heappush(self.by_publication, (stored.published_ms, stored.result.id))
        while len(self.index) > max_results:
            first = self.index.pop(heapq.heappop(self.by_publication)[1])
            self.forgotten_published_ms = max(self.forgotten_published_ms, first.published_ms)
            self.forgotten_end_ms = max(self.forgotten_end_ms, first.end_ms)


class MemoryStore:
    """Keeps results within the same bounds as `RedisStore`. Any thread may call its methods."""

    def __init__(
        self, *, limits: StoreLimits | None = None, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._limits = limits or StoreLimits()
        self._monotonic_ns = monotonic_ns
        self._lock = threading.Lock()
        self._streams: OrderedDict[str, _Stream] = OrderedDict()  # the longest silent first

    def write(self, batch: Sequence[StoredResult]) -> tuple[bool, ...]:
        """Store new results. Return, for each, whether it was new."""
        with self._lock:
            now_ns = self._monotonic_ns()
            self._expire(now_ns)
            return tuple(self._keep(stored, now_ns) for stored in batch)

    def ping(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing. Results stay readable."""

    def streams(self) -> tuple[str, ...]:
        """Return the names of the streams that have results."""
        with self._lock:
            self._expire(self._monotonic_ns())
            return tuple(sorted(self._streams))

    def results(self, stream: str) -> tuple[bytes, ...]:
        """Return the JSON documents of a stream's results, in the order in which they were written."""
        with self._lock:
            self._expire(self._monotonic_ns())
            kept = self._streams.get(stream)
            return tuple(kept.documents) if kept else ()

    def latest(self, stream: str) -> bytes | None:
        """Return the JSON document of a stream's newest window, or None if it has expired."""
        with self._lock:
            now_ns = self._monotonic_ns()
            self._expire(now_ns)
            kept = self._streams.get(stream)
            return kept.latest if kept and now_ns < kept.latest_until_ns else None

    def _keep(self, stored: StoredResult, now_ns: int) -> bool:
        name, limits = stored.result.stream, self._limits
        kept = self._streams.setdefault(name, _Stream(limits.max_results))
        if kept.is_duplicate(stored):
            return False
        kept.add(stored, limits.max_results)
        version = stored.end_ms, stored.result.revision
        if version >= kept.newest or now_ns >= kept.latest_until_ns:
            kept.latest, kept.newest = stored.document, version
            kept.latest_until_ns = now_ns + limits.latest_ttl_s * NS_PER_S
        kept.expires_ns = now_ns + limits.key_ttl_s * NS_PER_S
        self._streams.move_to_end(name)
        return True

    def _expire(self, now_ns: int) -> None:
        while self._streams:
            name, kept = next(iter(self._streams.items()))
            if now_ns < kept.expires_ns:
                return
            del self._streams[name]
