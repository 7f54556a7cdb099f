"""The dashboards during a chaos run: a real Prometheus scrapes each worker and producer, and answers what they ask."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.chaos.comparison import Fault
from tests.prometheus import Panel, Prometheus, Targets, panels, prometheus
from tools.dashboards.layout import DASHBOARDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WORKER_JOB: Final = "triptych-worker"
PRODUCER_JOB: Final = "triptych-producer"
RATE_INTERVAL: Final = "10s"
_POINTS: Final = 300
_COLUMNS: Final = 4
_MOST_SERIES: Final = 12
_NS: Final = 1e9


class DashboardRecorder:
    """Gives each program of a run a port that is scraped, and draws the dashboards at the end."""

    def __init__(self, server: Prometheus, targets: Targets) -> None:
        self._server = server
        self._targets = targets
        self._start_s = time.time()

    def worker_variables(self) -> dict[str, str]:
        """Return the variables of a worker that starts: a worker that was frozen may still hold its port."""
        return {"TRIPTYCH_HTTP_PORT": str(self._targets.add(WORKER_JOB))}

    def producer_variables(self) -> dict[str, str]:
        """Return the variables of a producer that starts."""
        return {"TRIPTYCH_PRODUCE_HTTP_PORT": str(self._targets.add(PRODUCER_JOB))}

    def draw(self, folder: Path, faults: Sequence[Fault]) -> Iterator[str]:
        """Draw each dashboard that has data as `FOLDER/UID.png`, with the faults as grey bands; yield what was seen."""
        folder.mkdir(parents=True, exist_ok=True)
        to_s = time.time()
        step_s = max(1.0, (to_s - self._start_s) / _POINTS)
        for dashboard in DASHBOARDS:
            found = panels(dashboard.uid, RATE_INTERVAL)
            answers = [
                [one for query in panel.queries for one in self._server.ranges(query, self._start_s, to_s, step_s)]
                for panel in found
            ]
            with_data = [(panel, series) for panel, series in zip(found, answers, strict=True) if series]
            if with_data:
                self._draw(folder / f"{dashboard.uid}.png", dashboard.title, with_data, faults)
            empty = [panel.title for panel, series in zip(found, answers, strict=True) if not series]
            told = f"; none: {', '.join(empty)}" if with_data and empty else ""
            yield f"{dashboard.title}: {len(with_data)} of {len(found)} panels have data{told}"
        yield f"alerts: {', '.join(self._alerts(to_s, step_s)) or 'none'}"

    def _alerts(self, to_s: float, step_s: float) -> list[str]:
        """Return each alert that was pending or firing, and for how long."""
        told = []
        for series in self._server.ranges("ALERTS", self._start_s, to_s, step_s):
            labels = series["metric"]
            about = " ".join(labels[name] for name in ("instance", "stream", "modality") if name in labels)
            length_s = len(series["values"]) * step_s
            told.append(f"{labels['alertname']} {labels['alertstate']} {length_s:.0f} s ({about})")
        return sorted(told)

    def _draw(
        self,
        file: Path,
        title: str,
        answers: Sequence[tuple[Panel, list[dict[str, Any]]]],
        faults: Sequence[Fault],
    ) -> None:
        from matplotlib.figure import Figure

        rows = math.ceil(len(answers) / _COLUMNS)
        figure = Figure(figsize=(5 * _COLUMNS, 2.6 * rows), layout="constrained")
        figure.suptitle(title)
        for place, (panel, series) in enumerate(answers):
            axes = figure.add_subplot(rows, _COLUMNS, place + 1)
            self._draw_panel(axes, panel, series)
            for fault in faults:
                axes.axvspan(
                    fault.from_ns / _NS - self._start_s, fault.to_ns / _NS - self._start_s, color="0", alpha=0.06
                )
        figure.savefig(file, dpi=80)

    def _draw_panel(self, axes: Axes, panel: Panel, series: Sequence[dict[str, Any]]) -> None:
        for one in series[:_MOST_SERIES]:
            times = [at - self._start_s for at, _ in one["values"]]
            label = " ".join(value for name, value in one["metric"].items() if name not in {"__name__", "job"})
            axes.plot(times, [float(value) for _, value in one["values"]], label=label, linewidth=1)
        axes.set_title(f"{panel.title} ({panel.unit})", fontsize=9)
        axes.tick_params(labelsize=7)
        axes.margins(x=0)
        if 1 < len(series) <= _MOST_SERIES:
            axes.legend(fontsize=5)


@contextmanager
def recorded_dashboards(folder: Path) -> Iterator[DashboardRecorder]:
    """Run Prometheus with its data in a new folder within this one."""
    data = folder / "prometheus"
    data.mkdir()
    targets = Targets(data)
    with prometheus(data, targets) as server:
        yield DashboardRecorder(server, targets)
