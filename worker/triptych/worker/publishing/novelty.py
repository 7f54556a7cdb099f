"""How new a window is to its stream: how far its newest moment lies from the nearest of the windows before it.

Pure. What it remembers is made of published results alone, so that a restart, which reads them from the tail of the
results topic, goes on as if nothing had happened (rule 21).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych.schemas.results import Result
from triptych.units import NS_PER_MS

_REMEMBERED_WINDOWS: Final = 16
_DIGITS: Final = 5


@dataclass(frozen=True, slots=True)
class _Window:
    """What is remembered of a result."""

    last_arrival_ms: int
    start_ns: int
    model: str
    embedding: NDArray[np.float32]


class RecentWindows:
    """The last windows of each stream of a partition number.

    Only windows with records of their own count: they say when they came. One that came more than `stream_ttl_ns`
    before is not recent: the tail that a restart reads need not hold it, and a stream that was forgotten begins anew.
    """

    def __init__(self, stream_ttl_ns: int) -> None:
        """Remember nothing yet."""
        self._ttl_ms = stream_ttl_ns // NS_PER_MS
        self._streams: OrderedDict[str, deque[_Window]] = OrderedDict()

    def judge(self, result: Result, moments: Sequence[Sequence[float]]) -> Result:
        """Return a new result with its novelty filled in, and remember it.

        The novelty is 1 less a cosine: 0 for what was there before, null where nothing was before, or nothing is now.
        A revision is compared with those windows before its own that are remembered still.
        """
        judged = result.model_copy(update={"novelty": self._novelty(result, moments)})
        self.remember(result)
        return judged

    def remember(self, result: Result) -> None:
        """Count a result among the recent ones of its stream. Of a window only its first counts, no revision."""
        last_ms = result.arrival_ms.last
        if result.embedding is None or last_ms is None or result.revision:
            return
        windows = self._streams.setdefault(result.stream, deque(maxlen=_REMEMBERED_WINDOWS))
        windows.append(_Window(last_ms, result.start_ns, result.model.sha256, np.asarray(result.embedding, np.float32)))
        self._streams.move_to_end(result.stream)
        self._forget(last_ms)

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
        likeness = np.asarray(moments, np.float32) @ np.stack(recent).T  # [moments, windows]
        farthest = 1.0 - float(likeness.max(1).min())
        return round(min(max(farthest, 0.0), 2.0), _DIGITS)

    def _forget(self, now_ms: int) -> None:
        """Drop streams of which nothing came for so long that nothing will be compared with them."""
        while True:
            stream, windows = next(iter(self._streams.items()))
            if windows[-1].last_arrival_ms > now_ms - 2 * self._ttl_ms:
                return
            del self._streams[stream]
