"""Measure how late the event loop of the page wakes, look for silent feeds, and keep the metrics up to date."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from triptych.consumers.page.web.parts import PageParts

log = structlog.get_logger(__name__)

_TICK_S: Final = 0.25
_SILENCE_S: Final = 5.0
_METER_S: Final = 1.0


class LoopMeter:
    """Wakes several times a second, until a stop. What fails is logged, once for failures in a row, and tried again."""

    def __init__(self, parts: PageParts, beat: Callable[[], None], *, tick_s: float = _TICK_S) -> None:
        """Measure nothing yet. `beat` tells others that the loop runs."""
        self._parts = parts
        self._beat = beat
        self._tick_s = tick_s
        self._metered_s = self._looked_s = time.monotonic()
        self._worst_s = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Measure until a stop."""
        is_failing = False
        while not stop.is_set():
            before_s = time.monotonic()
            await asyncio.sleep(self._tick_s)
            now_s = time.monotonic()
            self._worst_s = max(self._worst_s, now_s - before_s - self._tick_s)
            try:
                self._step(now_s)
            except Exception:  # without this loop the page would be served, and its probe would say that it hangs
                if not is_failing:
                    log.exception("page_meter_failed")
                is_failing = True
            else:
                is_failing = False

    def _step(self, now_s: float) -> None:
        self._beat()
        if now_s - self._looked_s >= _SILENCE_S:
            self._looked_s = now_s
            self._parts.state.look_for_silence(time.time_ns())
        if now_s - self._metered_s >= _METER_S:
            self._metered_s = now_s
            self._parts.metrics.loop_lag_s, self._worst_s = self._worst_s, 0.0
            update_metrics(self._parts)


def update_metrics(parts: PageParts) -> None:
    """Take over what the parts have counted."""
    state, stores, metrics = parts.state, parts.stores, parts.metrics
    caches = (stores.picture_cache, stores.sound_cache)
    counted = {name: state.counts[name] for name in ("results", "malformed", "missed", "feeds_forgotten")}
    metrics.update(
        counted
        | {
            "coalesced": state.coalesced,
            "evidence_hits": sum(cache.hits for cache in caches),
            "evidence_misses": sum(cache.misses for cache in caches),
        },
        {
            "clients": len(parts.streams),
            "feeds": len(state.feeds),
            "windows": state.windows,
            "reviews": len(state.reviews),
            "evidence_bytes": sum(cache.size_bytes for cache in caches),
            "loop_lag_seconds": metrics.loop_lag_s,
        },
    )
