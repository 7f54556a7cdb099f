"""The frame of all benchmarks: contenders are measured in turn, in several rounds, beside the limit of the same run.

A benchmark compares contenders that do the same work. One of them is its limit: the least that the work can cost, such
as the parsing of the same bytes without any checks. All contenders of a round run directly after one another, so the
load of the machine is about the same for them; the ratio of a round is taken within the round. CPU time is that of all
threads, and hardly depends on other processes. Time on the clock does.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

_PEAK: Final = "VmHWM:"
_RESET_PEAK: Final = "5"  # written to /proc/self/clear_refs
_US_PER_S: Final = 1e6


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run of a contender took.

    Attributes:
        units: how many units of work were done, such as records.
        cpu_s: CPU seconds of all threads, user and system.
        wall_s: seconds on the clock.
        page_faults: pages that the system provided (minor faults).
        peak_bytes: the largest resident memory of the process during the run.
        values: anything else that was measured, such as `p99_ms`.
    """

    units: float
    cpu_s: float
    wall_s: float
    page_faults: int
    peak_bytes: int
    values: Mapping[str, float] = field(default_factory=dict)


Run = Callable[[], Cost]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A comparison.

    Attributes:
        name: name on the command line.
        question: what it finds out.
        unit: one unit of work, such as `record`.
        contenders: by name. Each call does the work once.
        limit: name of the contender that the others are compared with.
        ours: name of the contender that the goal is about.
        goal: the largest wanted ratio of CPU time of `ours` to the limit; None where the goal is another figure.
        note: what a reader must know, such as what is missing on this machine.
        value_goals: the largest wanted values of `ours`, by name (`Cost.values`).
        cpu_goals_us: the most CPU time a unit that contenders should take, in microseconds, by their name.
        clock_goals_us: the same for the time on the clock.
        forbids: what forbids a goal that is not reached, in a few words. The log (`tried.md`) has the figures.
    """

    name: str
    question: str
    unit: str
    contenders: Mapping[str, Run]
    limit: str
    ours: str
    goal: float | None = None
    note: str = ""
    value_goals: Mapping[str, float] = field(default_factory=dict)
    cpu_goals_us: Mapping[str, float] = field(default_factory=dict)
    clock_goals_us: Mapping[str, float] = field(default_factory=dict)
    forbids: str = ""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several values, the least and the largest."""

    median: float
    least: float
    largest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Return the spread of at least one value."""
        seen = list(values)
        return cls(statistics.median(seen), min(seen), max(seen))


@dataclass(frozen=True, slots=True)
class ContenderReport:
    """The figures of one contender over all rounds. `ratio` is its CPU time by that of the limit."""

    name: str
    cpu_us: Spread
    wall_us: Spread
    ratio: Spread
    page_faults: float
    peak_mb: float
    values: Mapping[str, Spread]


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one benchmark, and of the machine."""

    name: str
    question: str
    unit: str
    limit: str
    ours: str
    goal: float | None
    note: str
    rounds: int
    contenders: Sequence[ContenderReport]
    machine: Mapping[str, Any]
    value_goals: Mapping[str, float] = field(default_factory=dict)
    cpu_goals_us: Mapping[str, float] = field(default_factory=dict)
    clock_goals_us: Mapping[str, float] = field(default_factory=dict)
    forbids: str = ""

    def to_json(self) -> str:
        """Return the report as a line of JSON."""
        return json.dumps(asdict(self))


def measured(work: Callable[[], float], values: Callable[[], Mapping[str, float]] = dict) -> Cost:
    """Do the work in this process, and return its cost.

    Args:
        work: returns the number of units.
        values: returns what else was measured; called afterwards.
    """
    _reset_peak()
    before, wall_s = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    units = work()
    wall_s, after = time.perf_counter() - wall_s, resource.getrusage(resource.RUSAGE_SELF)
    return Cost(
        units,
        cpu_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        wall_s=wall_s,
        page_faults=after.ru_minflt - before.ru_minflt,
        peak_bytes=_peak_bytes(),
        values=values(),
    )


def whole_process(argv: Sequence[str]) -> Cost:
    """Run a program from start to end, and return its cost. Its output is dropped."""
    wall_s = time.perf_counter()
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - ours
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(argv))
    return Cost(
        1,
        cpu_s=used.ru_utime + used.ru_stime,
        wall_s=time.perf_counter() - wall_s,
        page_faults=used.ru_minflt,
        peak_bytes=used.ru_maxrss * 1024,
    )


def in_child(module: str, *args: str, environ: Mapping[str, str | None] | None = None) -> Cost:
    """Run a module as a program that prints the cost of its measured part as its last line (`print_cost`).

    `environ` changes variables of the environment; those of None are not set.
    """
    variables = {**os.environ, **(environ or {})}
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", module, *args],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={name: value for name, value in variables.items() if value is not None},
    )
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def print_cost(cost: Cost) -> None:
    """Print a cost for `in_child`."""
    sys.stdout.write(f"{json.dumps(asdict(cost))}\n")


def run(benchmark: Benchmark, rounds: int, *, warm_up: bool = True) -> Report:
    """Run all contenders in turn, and return the figures. With `warm_up`, one round before is not counted."""
    costs: dict[str, list[Cost]] = {name: [] for name in benchmark.contenders}
    for number in range(-1 if warm_up else 0, rounds):
        for name, contender in benchmark.contenders.items():
            cost = contender()
            if number >= 0:
                costs[name].append(cost)
    return Report(
        name=benchmark.name,
        question=benchmark.question,
        unit=benchmark.unit,
        limit=benchmark.limit,
        ours=benchmark.ours,
        goal=benchmark.goal,
        note=benchmark.note,
        rounds=rounds,
        contenders=[_contender(name, own, costs[benchmark.limit]) for name, own in costs.items()],
        machine=_machine(),
        value_goals=benchmark.value_goals,
        cpu_goals_us=benchmark.cpu_goals_us,
        clock_goals_us=benchmark.clock_goals_us,
        forbids=benchmark.forbids,
    )


def table(report: Report) -> str:
    """Return the figures as text, one line for each contender."""
    unit = report.unit
    lines = [
        f"{report.name}: {report.question}",
        f"  {'':34} {'CPU a ' + unit:>22} {'ratio':>18} {'clock':>10} {'faults':>8} {'peak':>9}",
    ]
    for each in report.contenders:
        marks = "limit" if each.name == report.limit else f"{each.ratio.median:.2f}"
        spread = "" if each.name == report.limit else f"({each.ratio.least:.2f}-{each.ratio.largest:.2f})"
        lines.append(
            f"  {each.name:34} {duration(each.cpu_us.median):>10} "
            f"{'±' + duration((each.cpu_us.largest - each.cpu_us.least) / 2):>11} {marks:>6} {spread:>11} "
            f"{duration(each.wall_us.median):>10} {each.page_faults:8.1f} {each.peak_mb:6.0f} MB"
        )
        lines += [
            f"      {name} {value.median:.4g} ({value.least:.4g}-{value.largest:.4g})"
            for name, value in each.values.items()
        ]
    if report.goal is not None:
        ratio = next(each.ratio.median for each in report.contenders if each.name == report.ours)
        reached = "reached" if ratio <= report.goal else "not reached"
        lines.append(f"  goal: {report.ours} at most {report.goal:g} times the limit: {reached}")
    for name, most in report.value_goals.items():
        value = next(each.values[name].median for each in report.contenders if each.name == report.ours)
        reached = "reached" if value <= most else "not reached"
        lines.append(f"  goal: {name} of {report.ours} at most {most:g}: {value:.3g}, {reached}")
    for name, most_us in report.cpu_goals_us.items():
        cpu_us = next(each.cpu_us.median for each in report.contenders if each.name == name)
        reached = "reached" if cpu_us <= most_us else "not reached"
        lines.append(f"  goal: {name} at most {duration(most_us)} a {unit}: {duration(cpu_us)}, {reached}")
    for name, most_us in report.clock_goals_us.items():
        wall_us = next(each.wall_us.median for each in report.contenders if each.name == name)
        reached = "reached" if wall_us <= most_us else "not reached"
        lines.append(f"  goal: {name} at most {duration(most_us)} of clock a {unit}: {duration(wall_us)}, {reached}")
    if report.note:
        lines.append(f"  {report.note}")
    load = " ".join(f"{value:.1f}" for value in report.machine["load"])
    lines.append(f"  {report.rounds} round{'s' * (report.rounds != 1)}; {report.machine['cpus']} CPUs, load {load}")
    return "\n".join(lines)


def duration(microseconds: float) -> str:
    """Return a duration in the unit that suits it."""
    if microseconds < 1e3:  # noqa: PLR2004 - prefixes of SI
        return f"{microseconds:.2f} us"
    if microseconds < 1e6:  # noqa: PLR2004
        return f"{microseconds / 1e3:.2f} ms"
    return f"{microseconds / 1e6:.2f} s"


def _contender(name: str, costs: Sequence[Cost], limits: Sequence[Cost]) -> ContenderReport:
    return ContenderReport(
        name,
        cpu_us=Spread.of(_cpu_us(cost) for cost in costs),
        wall_us=Spread.of(cost.wall_s / cost.units * _US_PER_S for cost in costs),
        ratio=Spread.of(_cpu_us(cost) / _cpu_us(limit) for cost, limit in zip(costs, limits, strict=True)),
        page_faults=statistics.median(cost.page_faults / cost.units for cost in costs),
        peak_mb=max(cost.peak_bytes for cost in costs) / 1e6,
        values={key: Spread.of(cost.values[key] for cost in costs) for key in costs[0].values},
    )


def _cpu_us(cost: Cost) -> float:
    return max(cost.cpu_s, 1e-9) / cost.units * _US_PER_S


def _machine() -> dict[str, Any]:
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "load": os.getloadavg(),
        "python": sys.version.partition(" ")[0],
        "processor": _processor(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


def _reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK, encoding="ascii")
    except OSError:  # the peak is then that since the start of the process
        return


def _peak_bytes() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(_PEAK):
            return int(line.split()[1]) * 1024
    return 0
