"""The producer for Prometheus: what stands in each feed's tally, read when somebody asks.

Labels are the ids of the streams that are played, which the user has listed: not of all that ever were. Nothing of a
source's URL is among them.
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
from triptych.producers.status.progress import ProgressLog, ProgressTable
from triptych.service.health import Health
from triptych.units import NS_PER_S

STARTING: Final[dict[str, str]] = {"feeds": "no feed was opened yet"}
"""The condition that a producer has to meet, and what is said of it at first."""

_MS_PER_S: Final = 1e3
_OPENED: Final = frozenset({"playing", "waiting", "done", "stopped"})


@dataclass(frozen=True, slots=True)
class _Series:
    """One metric, and where its value stands; a feed without one has no sample."""

    family: type[CounterMetricFamily | GaugeMetricFamily]
    name: str
    meaning: str
    value: Callable[[SourceStatus], float | None]


_SERIES: Final = (
    _Series(CounterMetricFamily, "sent", "Records sent, control records included.", lambda one: one.sent),
    _Series(CounterMetricFamily, "dropped", "Records that were given up.", lambda one: one.dropped),
    _Series(CounterMetricFamily, "late", "Items too late for a promise, left out or cut.", lambda one: one.late),
    _Series(CounterMetricFamily, "sessions", "Sessions begun.", lambda one: one.sessions),
    _Series(CounterMetricFamily, "reconnects", "Times that a lost feed was opened again.", lambda one: one.reconnects),
    _Series(CounterMetricFamily, "gaps", "Gaps that a lost feed has left.", lambda one: one.gaps),
    _Series(CounterMetricFamily, "gap_seconds", "What they are long together.", lambda one: one.gap_ns / NS_PER_S),
    _Series(GaugeMetricFamily, "queued_bytes", "What waits ahead of the client.", lambda one: one.queued_bytes),
    _Series(GaugeMetricFamily, "lag_seconds", "How far the broker is behind.", lambda one: one.lag_ns / NS_PER_S),
    _Series(
        GaugeMetricFamily,
        "av_offset_seconds",
        "Sound behind picture, where that was measured.",
        lambda one: None if one.av_offset_ms is None else one.av_offset_ms / _MS_PER_S,
    ),
    _Series(
        GaugeMetricFamily,
        "drift_ppm",
        "A feed's clock against the wall clock, where that was measured.",
        lambda one: one.drift_ppm,
    ),
)


class FeedMetrics(Collector):
    """The standings that were shown last, as metrics."""

    def __init__(self) -> None:
        """Begin with no feed, in a registry of its own."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._statuses: tuple[SourceStatus, ...] = ()
        self.registry.register(self)

    def show(self, statuses: Sequence[SourceStatus]) -> None:
        """Take how the feeds stand."""
        self._statuses = tuple(statuses)

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics, with a sample for each feed."""
        statuses = self._statuses
        for series in _SERIES:
            family = series.family(f"triptych_feed_{series.name}", series.meaning, labels=["stream"])
            for status in statuses:
                value = series.value(status)
                if value is not None:
                    family.add_metric([status.stream], value)
            yield family
        states = StateSetMetricFamily("triptych_feed_state", "How the feed stands.", labels=["stream"])
        for status in statuses:
            states.add_metric([status.stream], {state: state == status.state for state in get_args(State)})
        yield states


class MonitoredDisplay:
    """Show the standings on another board, and tell those who watch from outside; a context manager."""

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
        """Show them, and say that the program's loop goes round."""
        self._display.show(statuses)
        self._metrics.show(statuses)
        self._health.beat()
        if any(status.state in _OPENED for status in statuses):
            self._health.set_ready("feeds", ready=True)
