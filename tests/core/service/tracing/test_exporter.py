"""The exporter of spans: it never blocks, and counts what it loses."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.span_collector import SpanCollector, span_collector
from triptych.schemas.tracing.trace_context import TraceContext
from triptych.service.tracing.exporter import TraceExporter, open_exporter
from triptych.service.tracing.spans import FinishedSpan
from triptych.settings.trace import TraceSettings

LIMIT_S = 30
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LINK = TraceContext("11111111111111111111111111111111", "2222222222222222")


def span(number: int, **fields: object) -> FinishedSpan:
    """Return a span."""
    context = TraceContext(TRACE, f"{number + 1:016x}")
    values: dict[str, object] = {"parent_id": None, "start_ns": 1_000, "end_ns": 2_000, **fields}
    return FinishedSpan("step", context, **values)  # type: ignore[arg-type]


@pytest.fixture
def collector() -> Iterator[SpanCollector]:
    """A collector on a free port."""
    with span_collector() as running:
        yield running


def test_a_span_arrives_as_it_was_made(collector: SpanCollector) -> None:
    """Ids, parent, times, kind, attributes and links."""
    made = span(
        1, parent_id="00f067aa0ba902b7", role="producer", attributes={"a.text": "x", "a.number": 3}, links=[LINK]
    )
    with TraceExporter(TraceSettings(endpoint=collector.endpoint), "a-program") as exporter:
        exporter.send([made])

    (came,) = collector.spans
    assert (came.service, came.name, came.trace_id, came.span_id) == ("a-program", "step", TRACE, made.context.span_id)
    assert (came.parent_id, came.start_ns, came.end_ns, came.kind) == ("00f067aa0ba902b7", 1_000, 2_000, 4)
    assert came.attributes == {"a.text": "x", "a.number": 3}
    assert came.links == ((LINK.trace_id, LINK.span_id),)
    assert exporter.counts.exported == 1


def test_spans_that_do_not_fit_are_dropped_together_and_counted() -> None:
    """The spans of one window stay together: half a trace would mislead."""
    told: list[tuple[str, int]] = []
    settings = TraceSettings(endpoint="http://127.0.0.1:9/v1/traces", max_queued_spans=5)
    with TraceExporter(settings, "a-program", on_handled=lambda *each: told.append(each)) as exporter:
        exporter.send([span(number) for number in range(3)])
        exporter.send([span(number) for number in range(3, 6)])
        assert exporter.counts.dropped == 3

    assert (exporter.counts.exported, exporter.counts.dropped, exporter.counts.failed) == (0, 3, 3)
    assert sorted(told) == [("dropped", 3), ("failed", 3)]


def test_a_collector_that_hangs_makes_nobody_wait() -> None:
    """Sending and closing end, however long the collector would be asked again."""
    with span_collector() as collector:
        collector.status = 503  # it is asked again after a pause
        exporter = TraceExporter(TraceSettings(endpoint=collector.endpoint, max_queued_spans=100), "a-program")
        began_s = time.monotonic()
        for number in range(1_000):
            exporter.send([span(number)])
        sent_s = time.monotonic() - began_s
        exporter.close()
        closed_s = time.monotonic() - began_s - sent_s

    assert sent_s < LIMIT_S
    assert closed_s < LIMIT_S
    counts = exporter.counts
    assert counts.exported == 0
    assert counts.dropped + counts.failed == 1_000
    assert counts.dropped >= 800


@pytest.mark.parametrize("settings", [TraceSettings(), TraceSettings(endpoint="http://127.0.0.1:9", sample_ratio=0)])
def test_nothing_is_opened_where_nothing_is_traced(settings: TraceSettings) -> None:
    """Without an endpoint, or with a ratio of zero."""
    with open_exporter(settings, "a-program") as exporter:
        assert exporter is None


def test_without_traces_the_exporter_is_not_imported() -> None:
    """It is an extra, and costs half a second."""
    code = (
        "import sys, triptych.worker.servers, triptych.producers.run, triptych.consumers.watching.watch\n"
        "heavy = ('opentelemetry.exporter', 'google.protobuf')  # the Redis client imports parts of the SDK by itself\n"
        "sys.exit(any(name.startswith(heavy) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
