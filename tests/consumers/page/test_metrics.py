"""What the page counts of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.consumers.page.conftest import until
from triptych.consumers.page.metrics import PageMetrics

if TYPE_CHECKING:
    from tests.consumers.page.conftest import PagePipeline, ServePage


def test_totals_are_counted_once() -> None:
    """They are taken over again and again."""
    metrics = PageMetrics()
    for total in (3, 3, 5):
        metrics.update({"results": total}, {"clients": total})
    assert metrics.registry.get_sample_value("triptych_page_results_total") == 5
    assert metrics.registry.get_sample_value("triptych_page_clients") == 5


def test_a_page_that_is_served_is_measured(pipeline: PagePipeline, serve: ServePage) -> None:
    """Requests by status, results, and pictures that were held."""
    pipeline.window(0)
    page = serve()
    page.until_read(1)
    [tile] = page.get("/api/wall")["feeds"]
    for _ in range(3):
        page.client.get(tile["picture"]["url"])
    page.get("/api/nothing", 404)
    found = page.server.metrics.registry.get_sample_value
    until(lambda: found("triptych_page_evidence_hits_total") == 2)
    assert found("triptych_page_evidence_misses_total") == 1
    assert found("triptych_page_results_total") == 1
    assert (found("triptych_page_feeds"), found("triptych_page_windows")) == (1, 1)
    assert found("triptych_page_requests_total", {"status": "4xx"}) == 1
    assert (found("triptych_page_evidence_bytes") or 0) > 100
