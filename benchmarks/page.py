"""Writes docs/performance.md, its plot, and docs/performance-log.md from the figures that the benchmarks left."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.frame import duration

_TRIED: Final = Path(__file__).with_name("tried.md")
_LOG_HEAD: Final = (
    "# What did not help\n\nMeasurements of changes that were tried and not made. [Performance](performance.md) has "
    "the benchmarks.\n\n"
)
_HEAD: Final = Path(__file__).with_name("page_head.md")


def write_page(figures: Path, page: Path) -> None:
    """Write the page and, beside it, its plot and the log. Of each benchmark the last line in `figures` counts."""
    reports = {report["name"]: report for report in map(json.loads, figures.read_text(encoding="utf-8").splitlines())}
    plot = page.with_suffix(".png")
    _draw(list(reports.values()), plot)
    sections = [
        _HEAD.read_text(encoding="utf-8"),
        "## Overview",
        _overview(list(reports.values())),
        f"![Ratio to the limit of each contender]({plot.name})",
        *(section for report in reports.values() for section in _section(report)),
    ]
    page.write_text("\n\n".join(section.rstrip() for section in sections) + "\n", encoding="utf-8")
    log = page.with_name(f"{page.stem}-log.md")
    log.write_text(_LOG_HEAD + _TRIED.read_text(encoding="utf-8"), encoding="utf-8")


def _overview(reports: Sequence[Mapping[str, Any]]) -> str:
    rows = ["| benchmark | ours | CPU | ratio to its limit | goal | reached |", "| --- | --- | --- | --- | --- | --- |"]
    for report in reports:
        ours = next(each for each in report["contenders"] if each["name"] == report["ours"])
        goals = list(_goals(report, ours))
        reached = ", ".join("yes" if value <= most else "no" for _, value, most in goals)
        if report.get("forbids") and "no" in reached:
            reached += f": [{report['forbids']}](performance-log.md)"
        rows.append(
            f"| [`{report['name']}`](#{report['name']}) | {report['ours']} "
            f"| {duration(ours['cpu_us']['median'])} a {report['unit']} | {_ratio(ours)} "
            f"| {', '.join(name for name, _, _ in goals)} | {reached} |"
        )
    return "\n".join(rows)


def _goals(report: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[tuple[str, float, float]]:
    """Yield the text of each goal, what was measured, and the most that was wanted."""
    if report["goal"] is not None:
        yield f"{report['goal']:.3g}", ours["ratio"]["median"], report["goal"]
    for name, most in report.get("value_goals", {}).items():
        yield f"{name} {most:g}", ours["values"][name]["median"], most
    for name, most_us in report.get("cpu_goals_us", {}).items():
        of = "" if name == report["ours"] else f" ({name})"
        cpu_us = next(each["cpu_us"]["median"] for each in report["contenders"] if each["name"] == name)
        yield f"{duration(most_us)}{of}", cpu_us, most_us
    for name, most_us in report.get("clock_goals_us", {}).items():
        wall_us = next(each["wall_us"]["median"] for each in report["contenders"] if each["name"] == name)
        yield f"{duration(most_us)} of clock ({name})", wall_us, most_us


def _section(report: Mapping[str, Any]) -> Iterator[str]:
    machine = report["machine"]
    yield f"## {report['name']}"
    yield f"{report['question']} {report['note']}".strip()
    unit = report["unit"]
    rows = [f"| | CPU a {unit} | ratio | clock | page faults | peak |", "| --- | --- | --- | --- | --- | --- |"]
    for each in report["contenders"]:
        is_limit = each["name"] == report["limit"]
        rows.append(
            f"| {each['name']} | {duration(each['cpu_us']['median'])} "
            f"| {'limit' if is_limit else _ratio(each)} "
            f"| {duration(each['wall_us']['median'])} | {each['page_faults']:.1f} | {each['peak_mb']:.0f} MB |"
        )
    yield "\n".join(rows)
    names = list(dict.fromkeys(name for each in report["contenders"] for name in each["values"]))
    if names:
        yield "\n".join(_value_rows(report["contenders"], names))
    load = ", ".join(f"{value:.1f}" for value in machine["load"])
    about = f"{machine['cpus']} CPUs ({machine['processor']}), Python {machine['python']}, load {load}"
    yield f"{report['rounds']} rounds; {about}."


def _value_rows(contenders: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Iterator[str]:
    """Return a table of what was measured besides the cost: the median of the rounds and, in parentheses, the range."""
    yield f"| | {' | '.join(each['name'] for each in contenders)} |"
    yield f"| --- |{' --- |' * len(contenders)}"
    for name in names:
        own = [each["values"].get(name) for each in contenders]
        cells = ["" if v is None else f"{v['median']:.3g} ({v['least']:.3g} to {v['largest']:.3g})" for v in own]
        yield f"| {name} | {' | '.join(cells)} |"


def _ratio(contender: Mapping[str, Any]) -> str:
    ratio = contender["ratio"]
    return f"{ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['largest']:.2f})"


def _draw(reports: Sequence[Mapping[str, Any]], plot: Path) -> None:
    """Draw the ratio of each contender as a bar, with its range, in a panel for each benchmark."""
    mpl.use("agg")
    heights = [len(report["contenders"]) for report in reports]
    figure, panels = plt.subplots(
        len(reports),
        1,
        figsize=(8, 0.5 * sum(heights) + 0.6 * len(reports)),
        squeeze=False,
        height_ratios=heights,
        layout="constrained",
    )
    for panel, report in zip(panels[:, 0], reports, strict=True):
        contenders = report["contenders"][::-1]
        medians = [each["ratio"]["median"] for each in contenders]
        below = [each["ratio"]["median"] - each["ratio"]["least"] for each in contenders]
        above = [each["ratio"]["largest"] - each["ratio"]["median"] for each in contenders]
        colours = ["0.75" if each["name"] == report["limit"] else "tab:blue" for each in contenders]
        panel.barh([each["name"] for each in contenders], medians, xerr=[below, above], color=colours)
        if report["goal"] is not None:
            panel.axvline(report["goal"], color="tab:red", linestyle="--", linewidth=1)
        panel.set_title(f"{report['name']}: CPU time a {report['unit']}, by the limit", loc="left", fontsize=9)
        panel.tick_params(labelsize=8)
    figure.savefig(plot, dpi=100)
    plt.close(figure)
