"""The metrics of `triptych page`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

_STATUSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")
_COUNTERS: Final = {
    "results": "Results that were read.",
    "malformed": "Records of the results, feedback and descriptions topics that were left out as invalid.",
    "missed": "Results that were deleted before they were read.",
    "coalesced": "Changes that a later one replaced before the client took them.",
    "feeds_forgotten": "Feeds that were forgotten since there were too many.",
    "evidence_hits": "Pictures and sounds that were held when they were asked for.",
    "evidence_misses": "Pictures and sounds that had to be read.",
}
_GAUGES: Final = {
    "clients": "Open streams of changes.",
    "feeds": "Feeds that are remembered.",
    "windows": "Records of windows that are remembered.",
    "reviews": "Events for review that are remembered.",
    "evidence_bytes": "Bytes of pictures and sounds that are held.",
    "loop_lag_seconds": "How late the event loop woke at most in the last second.",
}


class PageMetrics:
    """Counts what the server of the page does. Only the event loop writes them."""

    def __init__(self) -> None:
        """Start at zero."""
        self.registry = CollectorRegistry()
        self.loop_lag_s = 0.0
        self._totals: dict[str, int] = dict.fromkeys(_COUNTERS, 0)
        self._requests = Counter(
            "triptych_page_requests", "Responses, by class of their status.", ["status"], registry=self.registry
        )
        self._counters = {
            name: Counter(f"triptych_page_{name}", text, registry=self.registry) for name, text in _COUNTERS.items()
        }
        self._gauges = {
            name: Gauge(f"triptych_page_{name}", text, registry=self.registry) for name, text in _GAUGES.items()
        }
        for status in _STATUSES:
            self._requests.labels(status)

    def count_response(self, status: int) -> None:
        """Count a response."""
        self._requests.labels(_STATUSES[status // 100 - 1]).inc()

    def update(self, totals: Mapping[str, int], levels: Mapping[str, float]) -> None:
        """Take what was counted elsewhere since the start, and what is so now, by the names of the metrics."""
        for name, total in totals.items():
            self._counters[name].inc(max(0, total - self._totals[name]))
            self._totals[name] = total
        for name, level in levels.items():
            self._gauges[name].set(level)
