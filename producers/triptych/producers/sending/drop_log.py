"""Log what could not be sent: the beginning and the end of each episode, not each record."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import structlog

from triptych.producers.status.losses import DropCause
from triptych.schemas.names import MODALITIES, Modality
from triptych.schemas.records import InputRecord
from triptych.units import MIB, NS_PER_S

_log = structlog.get_logger(__name__)

QUIET_NS: Final = 10 * NS_PER_S
"""An episode is over when nothing was dropped for so long."""

_REASONS: Final[dict[DropCause, str]] = {
    "outage": "the broker is away for longer than records are kept",
    "slow_link": "the link is slower than the feeds: pictures are thinned first, then sound",
}


@dataclass(slots=True)
class _Episode:
    began_ns: int
    last_ns: int
    streams: set[str] = field(default_factory=set)
    counts: Counter[Modality] = field(default_factory=Counter)


class DropLog:
    """Log the episodes of one program. All times are of one monotonic clock."""

    def __init__(self) -> None:
        self._episodes: dict[DropCause, _Episode] = {}
        self._away_since_ns: int | None = None

    def dropped(self, record: InputRecord, cause: DropCause, now_ns: int) -> None:
        """Note a dropped record."""
        episode = self._episodes.get(cause)
        if episode is None:
            episode = self._episodes[cause] = _Episode(now_ns, now_ns)
            _log.warning(
                "records_dropped", stream=record.stream, id=record.id, cause=cause, reason=_REASONS.get(cause, cause)
            )
        episode.last_ns = now_ns
        episode.streams.add(record.stream)
        episode.counts[record.modality] += 1

    def observe(self, now_ns: int, away_since_ns: int | None, *, kept_bytes: int) -> None:
        """Update with the state of the link. Call it several times a second."""
        for cause, episode in list(self._episodes.items()):
            if now_ns - episode.last_ns >= QUIET_NS:
                self._end(cause, episode)
        if away_since_ns is not None and self._away_since_ns is None:
            _log.warning(
                "broker_waiting",
                unanswered_s=_seconds(now_ns - away_since_ns),
                kept_mb=_megabytes(kept_bytes),
                reason="the broker acknowledges nothing; records are kept within produce.max_lag_ms and "
                "produce.max_queue_bytes, and files that can wait do so",
            )
        elif away_since_ns is None and self._away_since_ns is not None:
            _log.info("broker_answers", away_s=_seconds(now_ns - self._away_since_ns), kept_mb=_megabytes(kept_bytes))
        self._away_since_ns = away_since_ns

    def close(self) -> None:
        """End all episodes."""
        for cause, episode in list(self._episodes.items()):
            self._end(cause, episode)

    def _end(self, cause: DropCause, episode: _Episode) -> None:
        del self._episodes[cause]
        _log.warning(
            "dropping_ended",
            cause=cause,
            lasted_s=_seconds(episode.last_ns - episode.began_ns),
            streams=len(episode.streams),
            **{modality: episode.counts[modality] for modality in MODALITIES},
        )


def _seconds(duration_ns: int) -> float:
    return round(duration_ns / NS_PER_S, 1)


def _megabytes(size_bytes: int) -> float:
    return round(size_bytes / MIB, 1)
