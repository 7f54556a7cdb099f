"""Overload control: how much work is done for a window, by how late windows are published. Pure.

A worker that cannot keep up either waits (`wait`) or descends a ladder of efforts: no pictures for detectors, half the
frames, a quarter, …, none (`degrade`), and then does not run the model at all (`skip`). Audio and subtitles are kept
until then. The measure is the time from when a window could be closed, by the arrival clock, until it was published.
The caller passes the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Policy = Literal["wait", "degrade", "skip"]
"""What to do with work that the worker cannot keep up with."""

_PERIODS_IN_LIMIT: Final = 4
_RECOVERED_DIVISOR: Final = 2


@dataclass(frozen=True, slots=True)
class Effort:
    """How much work is done for a window: its frames, whether the model runs, and pictures for detectors."""

    frames: int
    asks_model: bool = True
    pictures: int = 0


@dataclass(frozen=True, slots=True)
class Published:
    """A published window.

    Attributes:
        effort: the effort with which it was prepared.
        lag_ns: the time from when it closed, by the arrival clock, until it was published.
        was_full: whether the stages were full. If they were not, the bottleneck is before the model, and less work per
            window would not help.
    """

    effort: Effort
    lag_ns: int
    was_full: bool


def ladder_of(policy: Policy, frames: int, pictures: int = 0) -> tuple[Effort, ...]:
    """Return the efforts of a policy, the full one first: `frames` frames, and `pictures` pictures for detectors."""
    efforts = [Effort(frames, pictures=pictures)]
    if policy == "wait":
        return tuple(efforts)
    if pictures:
        efforts.append(Effort(frames))
    while efforts[-1].frames:
        efforts.append(Effort(efforts[-1].frames // 2))
    return (*efforts, Effort(0, asks_model=False)) if policy == "skip" else tuple(efforts)


class Overload:
    """Chooses the effort, one rung of the ladder at a time.

    It evaluates periods of a quarter of the limit. One rung down: the maximum lag of two successive periods was at or
    above the limit and did not fall, and the stages were full. One rung up: no lag of a period was above half the
    limit. Only windows prepared with the current effort count, so the effect of a change is seen before the next
    change. A backlog that shrinks is no overload, however old it is.
    """

    def __init__(self, ladder: tuple[Effort, ...], *, limit_ns: int) -> None:
        """Start with the full effort.

        Args:
            ladder: the efforts, the full one first.
            limit_ns: the lag at which a window is too late.
        """
        self._ladder = ladder
        self._limit_ns = limit_ns
        self._period_ns = limit_ns // _PERIODS_IN_LIMIT
        self._rung = 0
        self._previous_max_lag_ns: int | None = None
        self._period_start_ns: int | None = None
        self._max_lag_ns = 0
        self._was_full = False

    @property
    def rung(self) -> int:
        """The position on the ladder: 0 is the full effort."""
        return self._rung

    @property
    def effort(self) -> Effort:
        """The effort for new windows."""
        return self._ladder[self._rung]

    def published(self, window: Published, now_ns: int) -> bool:
        """Account for a published window at `now_ns` (monotonic). Return whether the effort changed."""
        if window.effort != self.effort:
            return False
        return self._add(window.lag_ns, now_ns, was_full=window.was_full)

    def idle(self, now_ns: int) -> bool:
        """Account for no window being in flight at `now_ns` (monotonic). Return whether the effort changed."""
        return self._rung > 0 and self._add(0, now_ns, was_full=False)

    def _add(self, lag_ns: int, now_ns: int, *, was_full: bool) -> bool:
        if self._period_start_ns is None:
            self._period_start_ns = now_ns
        self._max_lag_ns = max(self._max_lag_ns, lag_ns)
        self._was_full |= was_full
        if now_ns - self._period_start_ns < self._period_ns:
            return False
        step = self._step()
        self._previous_max_lag_ns = None if step else self._max_lag_ns
        self._rung += step
        self._start_period(None if step else now_ns)
        return step != 0

    def _step(self) -> int:
        """Evaluate the period that is over. Return by how many rungs to descend."""
        if self._max_lag_ns * _RECOVERED_DIVISOR <= self._limit_ns:
            return -1 if self._rung > 0 else 0
        previous_ns = self._previous_max_lag_ns
        falls_behind = previous_ns is not None and self._limit_ns <= previous_ns <= self._max_lag_ns
        return 1 if falls_behind and self._was_full and self._rung + 1 < len(self._ladder) else 0

    def _start_period(self, start_ns: int | None) -> None:
        self._period_start_ns = start_ns
        self._max_lag_ns = 0
        self._was_full = False
