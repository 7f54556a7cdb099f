"""What the programs export: each metric with its type, its labels and its meaning, read from their registries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from tools.reference.metrics import families, label_names
from triptych.consumers.describing.metrics import DescribeMetrics
from triptych.consumers.page.metrics import PageMetrics
from triptych.producers.status.metrics import FeedMetrics
from triptych.worker.observability.metrics import Metrics

_SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
}
REGISTRIES: Final[Mapping[str, Callable[[], CollectorRegistry]]] = {
    "worker": lambda: Metrics().registry,
    "producer": lambda: FeedMetrics().registry,
    "describe": lambda: DescribeMetrics().registry,
    "page": lambda: PageMetrics().registry,
}
"""The programs that serve metrics."""


@dataclass(frozen=True, slots=True)
class ExportedMetric:
    """One metric of a program. `name` has no suffix: that of a counter is `triptych_records`."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str

    @classmethod
    def of(cls, family: Metric) -> ExportedMetric:
        """Return the metric of a family in a registry."""
        # A state set has its state as a label, which shows only with samples.
        labels = tuple(label_names(family)) + ((family.name,) if family.type == "stateset" else ())
        return cls(family.name, family.type, tuple(dict.fromkeys(labels)), family.documentation)

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its time series."""
        return tuple(self.name + suffix for suffix in _SUFFIXES.get(self.kind, ("",)))


def exported_by(program: str) -> dict[str, ExportedMetric]:
    """Return the metrics of a program by name."""
    return {family.name: ExportedMetric.of(family) for family in families(REGISTRIES[program]())}
