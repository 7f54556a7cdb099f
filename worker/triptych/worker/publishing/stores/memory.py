"""Results in the memory of one process: the demo's store, and the plain telling of what the Redis scripts do."""

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
    """What is kept of one stream."""

    def __init__(self, max_results: int) -> None:
        self.documents: deque[bytes] = deque(maxlen=max_results)
        self.index: dict[str, StoredResult] = {}
        self.by_publication: list[tuple[int, str]] = []  # a heap
        self.latest: bytes | None = None
        self.latest_until_ns = 0
        self.newest = (_NOTHING_MS, 0)  # the end of the newest window, and the newest revision of it
        self.forgotten_published_ms = _NOTHING_MS
        self.forgotten_end_ms = _NOTHING_MS
        self.expires_ns = 0

    def knows(self, stored: StoredResult) -> bool:
        """Say whether this is a repeat, of an id that is remembered or of one that is forgotten."""
        before = stored.published_ms <= self.forgotten_published_ms and stored.end_ms <= self.forgotten_end_ms
        return stored.result.id in self.index or before

    def keep(self, stored: StoredResult, max_results: int) -> None:
        """Append the result and forget what was published first."""
        self.documents.append(stored.document)
        self.index[stored.result.id] = stored
        heapq.heappush(self.by_publication, (stored.published_ms, stored.result.id))
        while len(self.index) > max_results:
            first = self.index.pop(heapq.heappop(self.by_publication)[1])
            self.forgotten_published_ms = max(self.forgotten_published_ms, first.published_ms)
            self.forgotten_end_ms = max(self.forgotten_end_ms, first.end_ms)


class MemoryStore:
    """Keep results as `RedisStore` does, bounded alike; all methods may be called from any thread."""

    def __init__(
        self, *, limits: StoreLimits | None = None, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._limits = limits or StoreLimits()
        self._monotonic_ns = monotonic_ns
        self._lock = threading.Lock()
        self._streams: OrderedDict[str, _Stream] = OrderedDict()  # the longest silent first

    def write(self, batch: Sequence[StoredResult]) -> tuple[bool, ...]:
        """Keep what is new; say for each whether it was."""
        with self._lock:
            now_ns = self._monotonic_ns()
            self._expire(now_ns)
            return tuple(self._keep(stored, now_ns) for stored in batch)

    def ping(self) -> None:
        """Do nothing: memory always answers."""

    def close(self) -> None:
        """Do nothing: what was written stays readable."""

    def streams(self) -> tuple[str, ...]:
        """Return the streams that have results."""
        with self._lock:
            self._expire(self._monotonic_ns())
            return tuple(sorted(self._streams))

    def results(self, stream: str) -> tuple[bytes, ...]:
        """Return the JSON of a stream's results, in the order of their arrival."""
        with self._lock:
            self._expire(self._monotonic_ns())
            kept = self._streams.get(stream)
            return tuple(kept.documents) if kept else ()

    def latest(self, stream: str) -> bytes | None:
        """Return the JSON of a stream's newest window."""
        with self._lock:
            now_ns = self._monotonic_ns()
            self._expire(now_ns)
            kept = self._streams.get(stream)
            return kept.latest if kept and now_ns < kept.latest_until_ns else None

    def _keep(self, stored: StoredResult, now_ns: int) -> bool:
        name, limits = stored.result.stream, self._limits
        kept = self._streams.setdefault(name, _Stream(limits.max_results))
        if kept.knows(stored):
            return False
        kept.keep(stored, limits.max_results)
        place = stored.end_ms, stored.result.revision
        if place >= kept.newest or now_ns >= kept.latest_until_ns:
            kept.latest, kept.newest = stored.document, place
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
