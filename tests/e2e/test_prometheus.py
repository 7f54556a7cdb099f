"""A real Prometheus scrapes a real worker and a real producer, and answers what the dashboards and the alerts ask."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from tests.e2e.programs import Installation, wait_until
from tests.servers import require_program
from tools.dashboards.layout import DASHBOARDS
from tools.devservers.ports import free_ports

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
WITHOUT_DATA: Final = frozenset({
    "triptych_feed_dropped_records_total", "triptych_feed_track_gaps_total",  # nothing is dropped
    "triptych_feed_av_offset_seconds", "triptych_feed_drift_ppm",  # a file is not measured
})  # fmt: skip
SCRAPES: Final = "5s"


class Prometheus:
    """The API of a running server."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def get(self, path: str, **parameters: str) -> Any:  # noqa: ANN401 - JSON
        """Return the data of an answer. Raises AssertionError with the server's message for a bad query."""
        try:
            with urlopen(f"{self._url}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as answer:  # noqa: S310 - our own server
                return json.load(answer)["data"]
        except HTTPError as refused:
            raise AssertionError(f"{parameters}: {refused.read().decode()}") from None

    def series(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression has now."""
        found: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return found

    @property
    def answers(self) -> bool:
        """Whether it is ready."""
        try:
            with urlopen(f"{self._url}/-/ready", timeout=2) as answer:  # noqa: S310 - our own server
                return bool(answer.status == 200)
        except OSError:
            return False


@contextmanager
def prometheus(folder: Path, targets: dict[str, int]) -> Iterator[Prometheus]:
    """Run a server that scrapes the ports of these jobs once a second, with the rules of `deploy/prometheus`."""
    program = require_program(shutil.which("prometheus"), "prometheus")
    (port,) = free_ports(1)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(DEPLOY / "prometheus" / "triptych.rules.yml")],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{at}"]}]} for job, at in targets.items()
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    flags = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder,
        "web.listen-address": f"127.0.0.1:{port}",
    }
    with (folder / "log").open("wb") as log:
        command = [program, *(f"--{name}={value}" for name, value in flags.items())]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            server = Prometheus(port)
            wait_until(lambda: server.answers, "Prometheus", limit_s=30)
            yield server
        finally:
            process.terminate()
            process.wait(30)


def expressions(uid: str) -> list[str]:
    """Return the queries of a dashboard, as Grafana sends them when everything is selected."""
    document = json.loads((DEPLOY / "grafana" / "dashboards" / f"{uid}.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in document["panels"] for target in panel.get("targets", ())]
    for name, value in (("$__rate_interval", SCRAPES), ("$instance", ".*"), ("$stream", ".*")):
        queries = [query.replace(name, value) for query in queries]
    return queries


@pytest.mark.timeout(180)
def test_prometheus_answers_every_query_of_the_dashboards(
    install: Callable[..., Installation], clip: Callable[[str], str], tmp_path: Path
) -> None:
    """Each parses, and those about a program that runs have series. Every rule can be evaluated."""
    worker_port, producer_port = free_ports(2)
    here = install(TRIPTYCH_HTTP_PORT=str(worker_port), TRIPTYCH_PRODUCE_HTTP_PORT=str(producer_port))
    targets = {"triptych-worker": worker_port, "triptych-producer": producer_port}
    play = ("produce", clip("bbb_5s_51ch.mp4"), "--stream", "door", "--realtime", "--loop", "0")
    with here.running("work"), here.running(*play), prometheus(tmp_path, targets) as server:
        flows = f"rate(triptych_results_total[{SCRAPES}]) > 0 and on () rate(triptych_feed_sent_total[{SCRAPES}]) > 0"
        wait_until(lambda: bool(server.series(flows)), "results in Prometheus")

        answers = {
            dashboard.uid: {query: server.series(query) for query in expressions(dashboard.uid)}
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
