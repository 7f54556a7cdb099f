"""The page of all Prometheus metrics, read from the registries of the programs that serve them."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from tools.reference.markdown import code, one_line, table
from triptych.consumers.describing.metrics import DescribeMetrics
from triptych.consumers.page.metrics import PageMetrics
from triptych.producers.status.metrics import FeedMetrics
from triptych.worker.observability.metrics import Metrics

_HEAD = """# Metrics

Every Prometheus metric, as `/metrics` serves it. The names of counters end with `_total` there, those of a histogram
with `_bucket`, `_sum` and `_count`. The metrics of the process itself (`process_...`) come from the Prometheus client.
"""


def page() -> str:
    """Return the page."""
    parts = [_HEAD.rstrip(), "## Worker", "Served by `triptych work` on `http.port`.", _table(Metrics().registry)]
    parts += ["## Producer", "Served by `triptych produce` on `produce_http.port`, where it is set."]
    parts += [_table(FeedMetrics().registry), "## Descriptions"]
    parts += ["Served by `triptych describe` on `describe_http.port`, where it is set."]
    parts += [_table(DescribeMetrics().registry), "## Page"]
    parts += ["Served by `triptych page` on `page_http.port`, where it is set."]
    return "\n\n".join([*parts, _table(PageMetrics().registry)])


def families(registry: CollectorRegistry) -> Iterator[Metric]:
    """Iterate over our own metrics in a registry."""
    return (family for family in registry.collect() if family.name.startswith("triptych_"))


def _table(registry: CollectorRegistry) -> str:
    rows = [
        (code(one.name), one.type, ", ".join(code(label) for label in label_names(one)), one_line(one.documentation))
        for one in families(registry)
    ]
    return table(["name", "type", "labels", "meaning"], rows)


def label_names(family: Metric) -> list[str]:
    """Return the labels: of a family without samples yet, those with which it was made."""
    sampled = [name for sample in family.samples for name in sample.labels if name != "le"]
    return list(dict.fromkeys(sampled)) or list(getattr(family, "_labelnames", ()))
