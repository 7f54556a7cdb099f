"""The dashboards show what the programs export, and the alerts have a runbook and pass their own tests."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.servers import require_program
from tools.dashboards.exported_metrics import REGISTRIES, exported_by
from tools.dashboards.layout import DASHBOARDS

REPOSITORY: Final = Path(__file__).parents[2]
FOLDER: Final = REPOSITORY / "deploy" / "grafana" / "dashboards"
PROMETHEUS: Final = REPOSITORY / "deploy" / "prometheus"
RULES: Final = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "triptych.rules.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
_SERIES_NAME: Final = re.compile(r"\btriptych_[a-z_]+\b(?!=)(?![~!]=)")


def panels_of(path: Path) -> list[dict[str, Any]]:
    """Return the panels of a dashboard that have queries."""
    return [panel for panel in json.loads(path.read_text(encoding="utf-8"))["panels"] if "targets" in panel]


def series_in(expression: str) -> set[str]:
    """Return the names of the series in an expression: what stands in front of a selector or a closing bracket."""
    names = set(_SERIES_NAME.findall(re.sub(r"\{[^}]*\}", "", re.sub(r"by \([^)]*\)", "", expression))))
    assert names, expression
    return names


def exported_series() -> set[str]:
    """Return the names of all series of all programs."""
    return {name for program in REGISTRIES for metric in exported_by(program).values() for name in metric.series}


def test_the_dashboards_are_those_that_the_metrics_make() -> None:
    """A new metric changes a dashboard: `python -m tools.dashboards` writes it."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.dashboards", "--check"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.uid)
def test_a_dashboard_shows_every_metric_of_its_program_and_no_other(dashboard: Any) -> None:  # noqa: ANN401 - pytest's
    """A series that nobody exports would be an empty panel for ever."""
    shown = {
        name
        for panel in panels_of(FOLDER / f"{dashboard.uid}.json")
        for target in panel["targets"]
        for name in series_in(target["expr"])
    }
    exported = exported_by(dashboard.program).values()

    assert shown <= {name for metric in exported for name in metric.series}
    assert {metric.name for metric in exported if not shown.intersection(metric.series)} == set()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_panels_do_not_overlap_and_have_ids_of_their_own(path: Path) -> None:
    """Grafana would move them."""
    document = json.loads(path.read_text(encoding="utf-8"))
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells

    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_watches_metrics_that_exist_and_has_a_runbook(rule: dict[str, Any]) -> None:
    """The section says what it means, where to look and what to do."""
    page = (REPOSITORY / "docs" / "runbooks.md").read_text(encoding="utf-8")
    sections = {
        re.sub(r"[^a-z ]", "", title.lower()).replace(" ", "-"): text
        for title, text in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    }
    url: str = rule["annotations"]["runbook_url"]

    assert series_in(rule["expr"].replace("up{", "triptych_up{")) <= exported_series() | {"triptych_up"}
    assert url.startswith("{{ $externalLabels.triptych_docs }}/runbooks/#")
    section = sections[url.partition("#")[2]]
    assert [word for word in ("**Meaning.**", "**Look.**", "**Do.**") if word not in section] == []
    assert f"`{rule['alert']}`" in section
    if "$labels.stream" in rule["annotations"]["summary"]:  # what it means for the feeds that are summed
        assert "`others`" in section


def test_the_names_of_a_series_are_found() -> None:
    """The tests above can fail."""
    assert series_in('sum by (triptych_label) (rate(triptych_x_total{stream="triptych_no"}[5m])) / triptych_y') == {
        "triptych_x_total",
        "triptych_y",
    }


@pytest.mark.parametrize(
    "command",
    [
        ("check", "rules", "triptych.rules.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "triptych.rules.test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_accepts_the_rules_and_their_tests_pass(command: tuple[str, ...]) -> None:
    """Each alert fires when it should and not before."""
    promtool = require_program(shutil.which("promtool"), "promtool")

    done = subprocess.run([promtool, *command], cwd=PROMETHEUS, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_to_fire_and_not_to_fire() -> None:
    """Some test expects it, and some test that looks for it expects nothing."""
    tests = yaml.safe_load((PROMETHEUS / "triptych.rules.test.yml").read_text(encoding="utf-8"))["tests"]
    looks = [look for test in tests for look in test["alert_rule_test"]]
    fires = {look["alertname"] for look in looks if look["exp_alerts"]}
    stays_quiet = {look["alertname"] for look in looks if not look["exp_alerts"]}

    alerts = {rule["alert"] for rule in RULES}
    assert fires == alerts
    assert alerts - stays_quiet == {"TriptychLateRecords"}  # audio, with fewer late records, is in the same test


def test_grafana_finds_the_dashboards_and_prometheus_where_compose_puts_them() -> None:
    """The paths and addresses of the provisioning files are those of the Compose file."""
    services = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    mounts = dict(mount.split(":")[:2] for mount in services["grafana"]["volumes"])
    provisioning = REPOSITORY / "deploy" / "grafana" / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "triptych.yml").read_text())["providers"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]

    assert provider["options"]["path"] == mounts["./deploy/grafana/dashboards"]
    assert mounts["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    assert source["url"] == "http://prometheus:9090"
    assert "./deploy/prometheus:/etc/prometheus:ro" in services["prometheus"]["volumes"]
    scraped = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    targets = {name: config["port"] for job in scraped for config in job["dns_sd_configs"] for name in config["names"]}
    assert targets == {
        "worker": 9464,
        "producer": int(services["producer"]["environment"]["TRIPTYCH_PRODUCE_HTTP_PORT"]),
        "describe": documented_port("describing.md", "TRIPTYCH_DESCRIBE_HTTP_PORT"),
        "page": documented_port("page.md", "TRIPTYCH_PAGE_HTTP_PORT"),
    }


def documented_port(page: str, variable: str) -> int:
    """Return the port for metrics that a page of the documentation gives as an example."""
    found = re.search(rf"`{variable}=(\d+)`", (REPOSITORY / "docs" / page).read_text(encoding="utf-8"))
    assert found, variable
    return int(found[1])


def test_each_program_with_metrics_has_a_dashboard_and_is_scraped() -> None:
    """A program is one that serves a registry: it has a table in the reference of metrics."""
    sections = re.findall(
        r"^Served by `triptych (\w+)`", (REPOSITORY / "docs/reference/metrics.md").read_text(), re.MULTILINE
    )
    commands = {"work": "worker", "produce": "producer"}
    programs = {commands.get(command, command) for command in sections}
    scraped = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]

    assert set(REGISTRIES) == programs
    assert {dashboard.program for dashboard in DASHBOARDS} == programs
    assert {job["job_name"] for job in scraped} == {f"triptych-{program}" for program in programs}
