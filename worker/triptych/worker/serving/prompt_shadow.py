"""A shadow head of prompts: it weighs the evidence of the matches that are published, and its scores are only compared.

The evidence is in the results, so the head needs neither a model nor a thread of its own: a few additions for each
match. `triptych prompts compare` computes the same from the results, and asks the feedback which head is better.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from triptych.schemas.perception.prompt_head import FITS_FROM, PromptHead, probability
from triptych.schemas.results import Result
from triptych.worker.observability.events import (
    Event,
    PromptAgreement,
    PromptHeadsCompared,
    PromptHeadsSummarised,
    WindowPublished,
)
from triptych.worker.observability.hooks import Hooks

_SHOWN: Final = 8
"""The number of differing windows that a summary names."""


@dataclass(slots=True)
class _Counted:
    """The matches of one version of a prompt since the last summary."""

    windows: int = 0
    differed: int = 0
    distance: float = 0.0


@dataclass(slots=True)
class PromptShadow:
    """A hook that compares the matches of published results with the scores of a shadow head.

    Any thread may emit events to it, but one at a time those of published windows.

    Attributes:
        hooks: receive the comparisons as events. This hook is none of them.
        head: the shadow head.
        summary_every_s: the interval of the summary events.
        monotonic_s: the clock of the summaries.
    """

    hooks: Hooks
    head: PromptHead
    summary_every_s: float = 60.0
    monotonic_s: Callable[[], float] = time.monotonic
    _counted: dict[tuple[str, str], _Counted] = field(default_factory=dict)
    _differing: list[tuple[str, str, int]] = field(default_factory=list)
    _began_s: float = 0.0

    def __post_init__(self) -> None:
        """Begin the first summary."""
        self._began_s = self.monotonic_s()

    def __call__(self, event: Event) -> None:
        """Compare the result of a published window."""
        if isinstance(event, WindowPublished):
            self.compare(event.result)

    def compare(self, result: Result) -> None:
        """Compare the matches of a published result. Revisions do not count: their windows were compared before."""
        if not result.matches or result.revision:
            return
        total_differed = 0
        for name, match in result.matches.items():
            score = probability(self.head.log_odds_of(name, match))
            differs = (score >= FITS_FROM) != (match.score >= FITS_FROM)
            counted = self._counted.setdefault((name, match.version), _Counted())
            counted.windows += 1
            counted.differed += differs
            counted.distance += abs(score - match.score)
            total_differed += differs
            if differs and len(self._differing) < _SHOWN:
                self._differing.append((name, result.stream, result.start_ns))
        self.hooks.emit(PromptHeadsCompared(matches=len(result.matches), differed=total_differed))
        if self.monotonic_s() - self._began_s >= self.summary_every_s:
            self.summarise()

    def summarise(self) -> None:
        """Emit the comparison since the last summary, if there is any, and begin anew."""
        self._began_s = self.monotonic_s()
        if not self._counted:
            return
        prompts = tuple(
            PromptAgreement(name, version, each.windows, each.differed, each.distance / each.windows)
            for (name, version), each in sorted(self._counted.items())
        )
        self.hooks.emit(PromptHeadsSummarised(self.head.version, prompts, tuple(self._differing)))
        self._counted, self._differing = {}, []
