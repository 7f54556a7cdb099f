"""A cache that is bounded by the bytes that it holds: what was used longest ago is forgotten first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Cached = TypeVar("Cached")


class ByteCache(Generic[Cached]):
    """Values by key, with their size. Any thread may use it."""

    def __init__(self, limit_bytes: int) -> None:
        """Start empty."""
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._held: OrderedDict[Hashable, tuple[Cached, int]] = OrderedDict()
        self.size_bytes = 0
        self.hits = 0
        self.misses = 0

    def get(self, key: Hashable) -> Cached | None:
        """Return a value, which counts as used now; None if it is not held."""
        with self._lock:
            found = self._held.get(key)
            if found is None:
                self.misses += 1
                return None
            self.hits += 1
            self._held.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, value: Cached, size_bytes: int) -> None:
        """Hold a value. One that is larger than a quarter of the cache is not held: it would clear the rest."""
        if size_bytes > self._limit_bytes // 4:
            return
        with self._lock:
            before = self._held.pop(key, None)
            if before is not None:
                self.size_bytes -= before[1]
            self._held[key] = value, size_bytes
            self.size_bytes += size_bytes
            while self.size_bytes > self._limit_bytes:
                _, (_, freed) = self._held.popitem(last=False)
                self.size_bytes -= freed
