"""A real Prometheus scrapes a real worker and a real producer, and answers what the dashboards and the alerts ask."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.e2e.programs import Installation, wait_until
from tests.prometheus import Targets, panels, prometheus
from tests.servers import open_server
from tools.dashboards.layout import DASHBOARDS

WITHOUT_DATA: Final = frozenset({
    "triptych_feed_dropped_records_total", "triptych_feed_track_gaps_total",  # nothing is dropped
    "triptych_feed_av_offset_seconds", "triptych_feed_drift_ppm",  # a file is not measured
})  # fmt: skip
SCRAPES: Final = "5s"


def test_prometheus_answers_every_query_of_the_dashboards(
    install: Callable[..., Installation], clip: Callable[[str], str], tmp_path: Path
) -> None:
    """Each parses, and those about a program that runs have series. Every rule can be evaluated."""
    targets = Targets(tmp_path)
    worker_port, producer_port = targets.add("triptych-worker"), targets.add("triptych-producer")
    here = install(TRIPTYCH_HTTP_PORT=str(worker_port), TRIPTYCH_PRODUCE_HTTP_PORT=str(producer_port))
    play = ("produce", clip("bbb_5s_51ch.mp4"), "--stream", "door", "--realtime", "--loop", "0")
    with ExitStack() as stack:
        server = open_server(stack, lambda: prometheus(tmp_path, targets))
        stack.enter_context(here.running("work"))
        stack.enter_context(here.running(*play))
        flows = f"rate(triptych_results_total[{SCRAPES}]) > 0 and on () rate(triptych_feed_sent_total[{SCRAPES}]) > 0"
        wait_until(lambda: bool(server.series(flows)), "results in Prometheus")

        answers = {
            dashboard.uid: {
                query: server.series(query) for panel in panels(dashboard.uid, SCRAPES) for query in panel.queries
            }
            for dashboard in DASHBOARDS
        }
        wait_until(
            lambda: all(
                rule["health"] != "unknown" for group in server.get("rules")["groups"] for rule in group["rules"]
            ),
            "the rules to be evaluated",
        )
        rules = [rule for group in server.get("rules")["groups"] for rule in group["rules"]]

    empty = {
        query for uid in ("triptych-workers", "triptych-feeds") for query, found in answers[uid].items() if not found
    }
    assert {query for query in empty if not any(name in query for name in WITHOUT_DATA)} == set()
    for uid in ("triptych-descriptions", "triptych-page"):
        assert [found for found in answers[uid].values() if found] == []  # it does not run
    lag = next(found for query, found in answers["triptych-workers"].items() if query.startswith("max(triptych_lag"))
    assert 0 <= float(lag[0]["value"][1]) < 60
    assert len(rules) >= 13
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []
