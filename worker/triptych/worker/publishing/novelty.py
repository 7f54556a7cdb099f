"""Novelty of a window: the distance of its most unusual part from the nearest recent window of its stream. Pure.

The state consists of published results only. A restart restores it from the tail of the results topic and computes the
same values as an undisturbed worker (alignment rule 21, docs/alignment.md).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych.schemas.results import Result
from triptych.units import NS_PER_MS

_REMEMBERED_WINDOWS: Final = 16
_DIGITS: Final = 5


@dataclass(frozen=True, slots=True)
class _Window:
    """The parts of a result that novelty needs."""

    last_arrival_ms: int
    start_ns: int
    model: str
    embedding: NDArray[np.float32]


class RecentWindows:
    """The most recent windows of each stream of one partition.

    Windows without records of their own have no arrival time and do not count. Neither does a window that arrived more
    than the stream's TTL earlier: the tail that a restart reads may not contain it.
    """

    def __init__(self, stream_ttl_ns: int) -> None:
        """Create an empty history. `stream_ttl_ns` is measured in arrival time."""
        self._ttl_ms = stream_ttl_ns // NS_PER_MS
        self._streams: OrderedDict[str, deque[_Window]] = OrderedDict()

    def with_novelty(self, result: Result, moments: Sequence[Sequence[float]]) -> Result:
        """Return a copy of a result with its novelty, and remember the result.

        Novelty is a cosine distance from 0 (seen before) to 2. It is None if the stream has no recent windows or
        `moments` is empty. A revision is compared only with windows before its own.

        Args:
            result: a new result.
            moments: unit embeddings of the parts of the window, `[moments, dimensions]`.
        """
        novel = result.model_copy(update={"novelty": self._novelty(result, moments)})
        self.remember(result)
        return novel

    def remember(self, result: Result) -> None:
        """Add a published result to the history of its stream. A revision takes the place of the result before.

        So a window that was published incomplete in an outage is compared with only until it is completed.
        """
        last_ms = result.arrival_ms.last
        if result.embedding is None or last_ms is None:
            return
        if result.revision:
            self._replace(result, result.embedding)
            return
        windows = self._streams.setdefault(result.stream, deque(maxlen=_REMEMBERED_WINDOWS))
        windows.append(_Window(last_ms, result.start_ns, result.model.sha256, np.asarray(result.embedding, np.float32)))
        self._streams.move_to_end(result.stream)
        self._forget(last_ms)

    def _replace(self, result: Result, embedding: Sequence[float]) -> None:
        """Replace the embedding of a window, if it is remembered. Its arrival time stays: a restart may not know it."""
        windows = self._streams.get(result.stream, deque())
        for place, window in enumerate(windows):
            if window.start_ns == result.start_ns and window.model == result.model.sha256:
                windows[place] = replace(window, embedding=np.asarray(embedding, np.float32))

    def _novelty(self, result: Result, moments: Sequence[Sequence[float]]) -> float | None:
        first_ms = result.arrival_ms.first
        if not moments or first_ms is None:
            return None
        recent = [
            window.embedding
            for window in self._streams.get(result.stream, ())
            if window.model == result.model.sha256
            and window.last_arrival_ms > first_ms - self._ttl_ms
            and (window.start_ns < result.start_ns or not result.revision)
        ]
        if not recent:
            return None
        similarity = np.asarray(moments, np.float32) @ np.stack(recent).T  # [moments, windows]
        farthest = 1.0 - float(similarity.max(1).min())
        return round(min(max(farthest, 0.0), 2.0), _DIGITS)

    def _forget(self, now_ms: int) -> None:
        """Drop streams whose last window is too old to be compared with any later one."""
        while True:
            stream, windows = next(iter(self._streams.items()))
            if windows[-1].last_arrival_ms > now_ms - 2 * self._ttl_ms:
                return
            del self._streams[stream]
