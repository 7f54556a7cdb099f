"""The result of each part, and the table of all. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Check:
    """A value that a part must reach.

    Attributes:
        what: what it is, with its unit.
        value: what came.
        least: the least that is right; None for no such limit.
        most: the most that is right; None for no such limit.
    """

    what: str
    value: float
    least: float | None = None
    most: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the value is within its limits. NaN is not."""
        above = self.least is None or self.value >= self.least
        below = self.most is None or self.value <= self.most
        return above and below and self.value == self.value

    def text(self) -> str:
        """Return the check as text."""
        limits = [] if self.least is None else [f"at least {self.least:g}"]
        limits += [] if self.most is None else [f"at most {self.most:g}"]
        return f"{self.what} {self.value:.4g}{' (' + ', '.join(limits) + ')' if limits else ''}"


@dataclass(frozen=True, slots=True)
class PartReport:
    """What one part of the GPU's path did.

    Attributes:
        name: name of the part.
        checks: what must be right.
        times_ms: milliseconds by what was timed, the way of comparison first.
        failure: why the part could not run; None if it did.
    """

    name: str
    checks: Sequence[Check] = ()
    times_ms: dict[str, float] = field(default_factory=dict)
    failure: str | None = None

    @property
    def is_right(self) -> bool:
        """Whether the part ran, and all its checks are met."""
        return self.failure is None and bool(self.checks) and all(check.is_met for check in self.checks)


Part = Callable[[], PartReport]


def run_parts(
    parts: dict[str, Part], limit_s: float, clock_s: Callable[[], float], say: Callable[[str], None]
) -> list[PartReport]:
    """Run the parts in turn, as long as there is time; one that fails does not stop the others.

    Args:
        parts: by name.
        limit_s: no part is started after this time.
        clock_s: a monotonic clock in seconds.
        say: takes the lines of each part when it has ended.
    """
    began_s = clock_s()
    reports = []
    for name, part in parts.items():
        if clock_s() - began_s > limit_s:
            report = PartReport(name, failure=f"not started: {limit_s:g} s have passed")
        else:
            try:
                report = part()
            except Exception as error:  # noqa: BLE001 - the others are measured all the same, and the table has the error
                report = PartReport(name, failure=f"{type(error).__name__}: {error}")
        reports.append(report)
        say(part_lines(report))
    return reports


def part_lines(report: PartReport) -> str:
    """Return the lines of the table about one part."""
    lines = [f"{report.name:14} {'right' if report.is_right else 'WRONG'}"]
    if report.failure is not None:
        lines.append(f"    {report.failure}")
    lines += [f"    {'' if check.is_met else 'NOT MET: '}{check.text()}" for check in report.checks]
    first = next(iter(report.times_ms.values()), 0.0)
    lines += [
        f"    {what:44} {took_ms:9.3f} ms {first / took_ms if took_ms else 0:7.2f} times as fast as the first"
        for what, took_ms in report.times_ms.items()
    ]
    return "\n".join(lines)
