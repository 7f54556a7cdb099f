"""A real Prometheus with the rules of `deploy/prometheus`, and the queries of the dashboards."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.e2e.programs import wait_until
from tools.devservers import MissingProgramError
from tools.devservers.ports import free_ports

DEPLOY: Final = Path(__file__).parents[1] / "deploy"


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

    def ranges(self, expression: str, from_s: float, to_s: float, step_s: float) -> list[dict[str, Any]]:
        """Return the series that an expression had in a time, in seconds since the epoch."""
        times = {"start": str(from_s), "end": str(to_s), "step": str(step_s)}
        found: list[dict[str, Any]] = self.get("query_range", query=expression, **times)["result"]
        return found

    @property
    def answers(self) -> bool:
        """Whether it is ready."""
        try:
            with urlopen(f"{self._url}/-/ready", timeout=2) as answer:  # noqa: S310 - our own server
                return bool(answer.status == 200)
        except OSError:
            return False


class Targets:
    """The ports that a server scrapes, by job. They may be added while it runs."""

    def __init__(self, folder: Path) -> None:
        """Keep them in a file of this folder."""
        self.file = folder / "targets.json"
        self._lock = threading.Lock()
        self._ports: dict[str, list[int]] = {}
        self._write()

    def add(self, job: str) -> int:
        """Return a free port, which is scraped from now on."""
        with self._lock:
            (port,) = free_ports(1)
            self._ports.setdefault(job, []).append(port)
            self._write()
            return port

    def _write(self) -> None:
        groups = [
            {"labels": {"job": job}, "targets": [f"127.0.0.1:{port}" for port in ports]}
            for job, ports in self._ports.items()
        ]
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(groups), encoding="utf-8")
        new.replace(self.file)


@contextmanager
def prometheus(folder: Path, targets: Targets) -> Iterator[Prometheus]:
    """Run a server that scrapes these targets once a second, with the rules of `deploy/prometheus`.

    Raises:
        MissingProgramError: it is not installed.
    """
    program = shutil.which("prometheus")
    if program is None:
        raise MissingProgramError("prometheus: expected the program, found none; install Debian's package prometheus")
    (port,) = free_ports(1)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(DEPLOY / "prometheus" / "triptych.rules.yml")],
        "scrape_configs": [
            {"job_name": "triptych", "file_sd_configs": [{"files": [str(targets.file)], "refresh_interval": "1s"}]}
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


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel of a dashboard, with its queries as Grafana sends them when everything is selected."""

    title: str
    kind: str
    unit: str
    queries: tuple[str, ...]


def panels(uid: str, rate_interval: str) -> list[Panel]:
    """Return the panels of a dashboard that ask for something."""
    document = json.loads((DEPLOY / "grafana" / "dashboards" / f"{uid}.json").read_text(encoding="utf-8"))
    variables = {"$__rate_interval": rate_interval, "$instance": ".*", "$stream": ".*"}
    found = []
    for panel in document["panels"]:
        queries = [target["expr"] for target in panel.get("targets", ())]
        for name, value in variables.items():
            queries = [query.replace(name, value) for query in queries]
        if queries:
            unit = panel["fieldConfig"]["defaults"].get("unit", "short")
            found.append(Panel(panel["title"], panel["type"], unit, tuple(queries)))
    return found
