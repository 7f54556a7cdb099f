"""Overload: what is left out when results come too late and later, and when it is taken up again. Pure.

Where the worker cannot keep up it waits (`wait`), or it goes down a ladder: half the pictures, a quarter, …, none
(`degrade`), and below that no answer of the model at all (`skip`). Sound and words stay until then. What decides is how
long after its arrival a window was published; times are given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Policy = Literal["wait", "degrade", "skip"]
"""What overload makes of the work that is too much."""

_PERIODS_IN_LIMIT: Final = 4
_RECOVERED_SHARE: Final = 2


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done for a window: so many pictures at most, and whether the model is asked."""

    frames: int
    asks_model: bool = True


@dataclass(frozen=True, slots=True)
class Published:
    """What there is to know of a window that was published.

    Attributes:
        effort: what was done for it.
        lag_ns: from the moment, by the arrival clock, at which it closed until it was published.
        was_full: whether as many windows were on their way as may be: else what is slow lies before the model, and
            doing less for a window would not help.
    """

    effort: Effort
    lag_ns: int
    was_full: bool


def ladder_of(policy: Policy, frames: int) -> tuple[Effort, ...]:
    """Return the efforts of a policy for a model that takes so many pictures, the whole effort first."""
    whole = Effort(frames)
    if policy == "wait":
        return (whole,)
    fewer = [whole]
    while fewer[-1].frames:
        fewer.append(Effort(fewer[-1].frames // 2))
    return (*fewer, Effort(0, asks_model=False)) if policy == "skip" else tuple(fewer)


class Overload:
    """Chooses the effort, one rung of the ladder at a time.

    It judges by periods, a quarter of the limit each. One rung down: the largest lag of a period was at or above the
    limit, and that of the next one no smaller, while the flow was full. One rung up: no lag of a period was above half
    the limit. Only windows that were prepared with the present effort count, so that a change shows what it did before
    the next one comes; and a backlog that shrinks is not an overload, however old it is.
    """

    def __init__(self, ladder: tuple[Effort, ...], *, limit_ns: int) -> None:
        """Begin with the whole effort.

        Args:
            ladder: the efforts, the whole one first.
            limit_ns: how late a window may be published.
        """
        self._ladder = ladder
        self._limit_ns = limit_ns
        self._period_ns = limit_ns // _PERIODS_IN_LIMIT
        self._rung = 0
        self._largest_before_ns: int | None = None
        self._since_ns: int | None = None
        self._largest_ns = 0
        self._was_full = False

    @property
    def rung(self) -> int:
        """How far down the ladder: 0 is the whole effort."""
        return self._rung

    @property
    def effort(self) -> Effort:
        """What is to be done for the windows that come now."""
        return self._ladder[self._rung]

    def published(self, window: Published, now_ns: int) -> bool:
        """Take in a published window, `now_ns` monotonic; tell whether the effort is another one from now on."""
        if window.effort != self.effort:
            return False
        return self._note(window.lag_ns, now_ns, was_full=window.was_full)

    def idle(self, now_ns: int) -> bool:
        """Take in that nothing is on its way, `now_ns` monotonic; tell whether the effort is another one now."""
        return self._rung > 0 and self._note(0, now_ns, was_full=False)

    def _note(self, lag_ns: int, now_ns: int, *, was_full: bool) -> bool:
        if self._since_ns is None:
            self._since_ns = now_ns
        self._largest_ns = max(self._largest_ns, lag_ns)
        self._was_full |= was_full
        if now_ns - self._since_ns < self._period_ns:
            return False
        step = self._step()
        self._largest_before_ns = None if step else self._largest_ns
        self._rung += step
        self._begin_period(None if step else now_ns)
        return step != 0

    def _step(self) -> int:
        """Judge the period that is over: return by how many rungs to go down."""
        if self._largest_ns * _RECOVERED_SHARE <= self._limit_ns:
            return -1 if self._rung > 0 else 0
        before_ns = self._largest_before_ns
        falls_behind = before_ns is not None and self._limit_ns <= before_ns <= self._largest_ns
        return 1 if falls_behind and self._was_full and self._rung + 1 < len(self._ladder) else 0

    def _begin_period(self, since_ns: int | None) -> None:
        self._since_ns = since_ns
        self._largest_ns = 0
        self._was_full = False
