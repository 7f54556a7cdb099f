"""PromQL for a metric, by its type: rates of counters, values of gauges, quantiles of histograms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tools.dashboards.exported_metrics import ExportedMetric

RATE: Final = "$__rate_interval"
"""The range of rates. Grafana replaces it by one that holds at least four scrapes."""

_MOST_STREAMS: Final = 20
_QUANTILES: Final = (("median", 0.5), ("95 %", 0.95), ("99 %", 0.99))


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and how Grafana names its series."""

    expression: str
    legend: str


def queries_of(metric: ExportedMetric, *, selector: str, by: tuple[str, ...]) -> list[Query]:
    """Return the queries that show a metric.

    Args:
        metric: what to show.
        selector: which of its series, such as `instance=~"$instance"`.
        by: labels that a gauge is shown by. Counters and histograms are shown by their own labels.
    """
    own = tuple(label for label in metric.labels if label not in by)
    match metric.kind:
        case "counter":
            labels = (*own, *by) if "stream" in by else own
            rates = f"{_sum(labels)} (rate({metric.name}_total{{{selector}}}[{RATE}]))"
            return [Query(_most(rates, by), _legend(labels, "all"))]
        case "histogram":
            return [_quantile(metric, selector, own, name=name, share=share) for name, share in _QUANTILES]
        case "stateset":
            return [Query(f"{_sum(own)} ({metric.name}{{{selector}}})", _legend(own, "all"))]
        case _:
            return [Query(_most(f"{metric.name}{{{selector}}}", by), _legend(by, "value"))]


def _quantile(metric: ExportedMetric, selector: str, labels: tuple[str, ...], *, name: str, share: float) -> Query:
    buckets = f"{_sum(('le', *labels))} (rate({metric.name}_bucket{{{selector}}}[{RATE}]))"
    return Query(f"histogram_quantile({share}, {buckets})", _legend(labels, "").strip() + f" {name}")


def _most(expression: str, by: tuple[str, ...]) -> str:
    """Return the largest series of an expression, if it has one for each stream."""
    return f"topk({_MOST_STREAMS}, {expression})" if "stream" in by else expression


def _sum(labels: tuple[str, ...]) -> str:
    return f"sum by ({', '.join(labels)})" if labels else "sum"


def _legend(labels: tuple[str, ...], otherwise: str) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in labels) or otherwise
