"""The counts of each feed as Prometheus metrics, read when they are scraped.

The label is the stream id, for the feeds that are played now. Only a limited number of feeds has series of its own
(`named_feeds.py`); the others are summed. No part of a source's URL is exported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, get_args

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, StateSetMetricFamily
from prometheus_client.registry import Collector

from triptych.producers.status.counters import SourceStatus, State
from triptych.producers.status.losses import TrackLoss
from triptych.producers.status.named_feeds import OTHERS, NamedFeeds
from triptych.producers.status.progress import ProgressLog, ProgressTable
from triptych.service.health import Health
from triptych.units import NS_PER_S

STARTING: Final[dict[str, str]] = {"feeds": "no feed was opened yet"}
"""The readiness condition of a producer, and its text before it is met."""

_MS_PER_S: Final = 1e3
_OPENED: Final = frozenset({"playing", "waiting", "done", "stopped"})


@dataclass(frozen=True, slots=True)
class _FeedSeries:
    """One metric, and how to read its value. A feed whose value is None has no sample.

    `combine` is how a gauge of several feeds becomes one. A gauge without it has no sample for several feeds.
    """

    family: type[CounterMetricFamily | GaugeMetricFamily]
    name: str
    help: str
    value: Callable[[SourceStatus], float | None]
    combine: Callable[[Iterable[float]], float] | None = None

    def combined(self, statuses: Sequence[SourceStatus]) -> float | None:
        """Return the value for several feeds together, or None if there is none."""
        combine = sum if self.family is CounterMetricFamily else self.combine
        values = [value for status in statuses if (value := self.value(status)) is not None]
        return None if combine is None or not values else combine(values)


_SERIES: Final = (
    _FeedSeries(CounterMetricFamily, "sent", "Records sent, control records included.", lambda status: status.sent),
    _FeedSeries(CounterMetricFamily, "dropped", "Records dropped.", lambda status: status.dropped),
    _FeedSeries(CounterMetricFamily, "late", "Late items, dropped or trimmed.", lambda status: status.losses.late),
    _FeedSeries(
        CounterMetricFamily,
        "text_faults",
        "Blocks and characters of subtitles that could not be read.",
        lambda status: status.losses.text_faults,
    ),
    _FeedSeries(
        CounterMetricFamily,
        "broken_packets",
        "Packets that could not be decoded, or only with errors.",
        lambda status: status.losses.broken,
    ),
    _FeedSeries(
        CounterMetricFamily,
        "misplaced_packets",
        "Packets with wrong timestamps, dropped.",
        lambda status: status.losses.misplaced,
    ),
    _FeedSeries(
        CounterMetricFamily,
        "overlap_seconds",
        "Audio trimmed, because earlier audio covers its time.",
        lambda status: status.losses.overlap_ns / NS_PER_S,
    ),
    _FeedSeries(
        CounterMetricFamily,
        "skipped_segments",
        "Segments of the subtitles of an HLS channel that could not be fetched.",
        lambda status: status.losses.skipped_segments,
    ),
    _FeedSeries(
        CounterMetricFamily,
        "untranscribed_seconds",
        "Speech dropped, because it came faster than it could be transcribed.",
        lambda status: status.losses.untranscribed_ns / NS_PER_S,
    ),
    _FeedSeries(CounterMetricFamily, "sessions", "Sessions begun.", lambda status: status.sessions),
    _FeedSeries(CounterMetricFamily, "reconnects", "Lost feeds opened again.", lambda status: status.reconnects),
    _FeedSeries(CounterMetricFamily, "gaps", "Gaps that a lost feed has left.", lambda status: status.gaps),
    _FeedSeries(
        CounterMetricFamily, "gap_seconds", "Total length of the gaps.", lambda status: status.gap_ns / NS_PER_S
    ),
    _FeedSeries(
        CounterMetricFamily,
        "suspended_seconds",
        "Time for which the program was suspended.",
        lambda status: status.suspended_ns / NS_PER_S,
    ),
    _FeedSeries(
        GaugeMetricFamily,
        "queued_bytes",
        "Bytes kept: to be sent, or to be acknowledged.",
        lambda status: status.queued_bytes,
        combine=sum,
    ),
    _FeedSeries(
        GaugeMetricFamily,
        "lag_seconds",
        "How far the broker is behind: the age of the oldest record kept.",
        lambda status: status.lag_ns / NS_PER_S,
        combine=max,
    ),
    _FeedSeries(
        GaugeMetricFamily,
        "av_offset_seconds",
        "How far the audio is behind the video, where measured.",
        lambda status: None if status.av_offset_ms is None else status.av_offset_ms / _MS_PER_S,
    ),
    _FeedSeries(
        GaugeMetricFamily,
        "drift_ppm",
        "Drift of the feed's clock from the wall clock, where measured.",
        lambda status: status.drift_ppm,
    ),
)

_TRACK_LABELS: Final = ("stream", "modality", "cause")
_TRACK_SERIES: Final[tuple[tuple[str, str, Callable[[TrackLoss], int]], ...]] = (
    ("dropped_records", "Records dropped, by modality and cause.", lambda loss: loss.records),
    ("track_gaps", "Gaps in what was sent of a track, by modality and cause.", lambda loss: loss.gaps),
)


class FeedMetrics(Collector):
    """A Prometheus collector of the statuses that were shown last."""

    def __init__(self, named: NamedFeeds | None = None) -> None:
        """Register with a registry of its own, without feeds. Without `named`, each feed has series of its own."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._named = named or NamedFeeds(most=None)
        self.registry.register(self)

    def show(self, statuses: Sequence[SourceStatus]) -> None:
        """Set the current statuses."""
        self._named.show(statuses)

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics, with one sample for each named feed and one for all others."""
        groups = self._named.groups
        statuses = groups.named
        others = [*groups.others, *([groups.left] if groups.left else [])]
        for series in _SERIES:
            family = series.family(f"triptych_feed_{series.name}", series.help, labels=["stream"])
            for status in statuses:
                value = series.value(status)
                if value is not None:
                    family.add_metric([status.stream], value)
            if (together := series.combined(others)) is not None:
                family.add_metric([OTHERS], together)
            yield family
        for name, text, count in _TRACK_SERIES:
            family = CounterMetricFamily(f"triptych_feed_{name}", text, labels=_TRACK_LABELS)
            for status in statuses:
                for (modality, cause), loss in sorted(status.track_losses.items()):
                    family.add_metric([status.stream, modality, cause], count(loss))
            for labels, total in _summed(others, count).items():
                family.add_metric([OTHERS, *labels], total)
            yield family
        yield _states(statuses, groups.others)


def _summed(statuses: Sequence[SourceStatus], count: Callable[[TrackLoss], int]) -> dict[tuple[str, str], int]:
    """Return the losses of several feeds together, by modality and cause."""
    totals: dict[tuple[str, str], int] = {}
    for status in statuses:
        for key, loss in status.track_losses.items():
            totals[key] = totals.get(key, 0) + count(loss)
    return dict(sorted(totals.items()))


def _states(statuses: Sequence[SourceStatus], others: Sequence[SourceStatus]) -> Metric:
    """Return the states: 0 or 1 for a named feed, and for all others the number of feeds."""
    states = StateSetMetricFamily("triptych_feed_state", "The state of the feed.", labels=["stream"])
    for status in statuses:
        states.add_metric([status.stream], {state: state == status.state for state in get_args(State)})
    if others:
        for state in get_args(State):
            labels = {"stream": OTHERS, "triptych_feed_state": state}
            states.add_sample("triptych_feed_state", labels, sum(status.state == state for status in others))
    return states


class MonitoredDisplay:
    """Pass the statuses on to another display, the metrics and the health checks. A context manager."""

    def __init__(self, display: ProgressTable | ProgressLog, metrics: FeedMetrics, health: Health) -> None:
        self._display = display
        self._metrics = metrics
        self._health = health

    def __enter__(self) -> Self:
        self._display.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.__exit__(kind, error, trace)

    def show(self, statuses: Sequence[SourceStatus]) -> None:
        """Show the statuses, and report that the program's loop is alive."""
        self._display.show(statuses)
        self._metrics.show(statuses)
        self._health.beat()
        if any(status.state in _OPENED for status in statuses):
            self._health.set_ready("feeds", ready=True)
