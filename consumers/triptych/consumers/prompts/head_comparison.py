"""Compare two heads of prompts on published matches, and on what people said of them. No I/O.

The evidence of each match is in its result, and in each answer. So both heads are computed from what is published, as
a worker with a shadow head does (`prompts.shadow_head`).
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from triptych.schemas.perception.prompt_head import FITS_FROM, PromptHead, probability
from triptych.schemas.perception.prompts import Feedback
from triptych.schemas.results import Result

_RESAMPLES: Final = 2_000
_TAIL: Final = 0.025
_SAME_LOG_ODDS: Final = 1e-3
_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class HeadPair:
    """The head in service, and the one that may replace it."""

    active: PromptHead
    candidate: PromptHead


@dataclass(frozen=True, slots=True)
class HeadQuality:
    """How well a head tells windows that fit from others, by the answers.

    Attributes:
        auroc: the share of the pairs of a yes and a no in which the yes has the higher score; None without such a pair.
        log_loss: mean, in nats.
    """

    auroc: float | None
    log_loss: float


@dataclass(frozen=True, slots=True)
class JudgedHeads:
    """Both heads on the same answers.

    Attributes:
        yes: answers that the window fits.
        no: answers that it does not.
        active: the head in service.
        candidate: the other one.
        gain: the log loss of the active head less that of the candidate, with the 95 % interval of a bootstrap over
            the answers: positive if the candidate is better.
    """

    yes: int
    no: int
    active: HeadQuality
    candidate: HeadQuality
    gain: tuple[float, float, float]


@dataclass(slots=True)
class PromptComparison:
    """Two heads on the windows of one version of a prompt.

    `both`, `neither`, `only_active` and `only_candidate` count the windows that fit, with a score of .5 or more.
    `of_another_head` are matches that were published with other scores than those of the active head. `largest` is the
    largest distance of two scores, with its result and both scores. `fitted` are answers that the candidate was fitted
    to, and `new` those that were given later; each None without answers.
    """

    prompt: str
    version: str
    both: int = 0
    neither: int = 0
    only_active: int = 0
    only_candidate: int = 0
    of_another_head: int = 0
    total_distance: float = 0.0
    largest: tuple[float, str, float, float] | None = None
    fitted: JudgedHeads | None = None
    new: JudgedHeads | None = None

    @property
    def windows(self) -> int:
        """The number of windows that were compared."""
        return self.both + self.neither + self.only_active + self.only_candidate

    @property
    def differed(self) -> int:
        """The number of windows that fit by one head only."""
        return self.only_active + self.only_candidate


def compare_heads(results: Iterable[Result], feedback: Iterable[Feedback], heads: HeadPair) -> list[PromptComparison]:
    """Compare two heads, for each version of each prompt, in alphabetical order. Revisions do not count.

    Args:
        results: results, each once.
        feedback: the last answer for each result and prompt.
        heads: the heads.
    """
    found: dict[tuple[str, str], PromptComparison] = {}

    def comparison(prompt: str, version: str) -> PromptComparison:
        return found.setdefault((prompt, version), PromptComparison(prompt, version))

    for result in results:
        if not result.revision:
            for name in result.matches or {}:
                _add(comparison(name, (result.matches or {})[name].version), result, heads)
    by_prompt: defaultdict[tuple[str, str], list[Feedback]] = defaultdict(list)
    for answer in feedback:
        by_prompt[answer.prompt, answer.match.version].append(answer)
    for (prompt, version), answers in by_prompt.items():
        until_ns = heads.candidate.weights_of(prompt, version).fitted_until_ns
        old = [answer for answer in answers if until_ns is not None and answer.given_ns <= until_ns]
        one = comparison(prompt, version)
        one.fitted = _judged(old, heads)
        one.new = _judged([answer for answer in answers if until_ns is None or answer.given_ns > until_ns], heads)
    return [one for _, one in sorted(found.items())]


def auroc(scores: Sequence[float], fits: Sequence[bool]) -> float | None:
    """Return the share of pairs of one that fits and one that does not in which the first has the higher score.

    Equal scores count one half. None without such a pair.
    """
    positive = [score for score, fit in zip(scores, fits, strict=True) if fit]
    negative = [score for score, fit in zip(scores, fits, strict=True) if not fit]
    if not positive or not negative:
        return None
    won = sum((yes > no) + (yes == no) / 2 for yes in positive for no in negative)
    return won / (len(positive) * len(negative))


def _add(comparison: PromptComparison, result: Result, heads: HeadPair) -> None:
    name = comparison.prompt
    match = (result.matches or {})[name]
    active_log_odds = heads.active.log_odds_of(name, match)
    active, candidate = probability(active_log_odds), probability(heads.candidate.log_odds_of(name, match))
    fits = active >= FITS_FROM, candidate >= FITS_FROM
    comparison.both += fits == (True, True)
    comparison.neither += fits == (False, False)
    comparison.only_active += fits == (True, False)
    comparison.only_candidate += fits == (False, True)
    comparison.of_another_head += abs(active_log_odds - match.log_odds) > _SAME_LOG_ODDS
    distance = abs(active - candidate)
    comparison.total_distance += distance
    if comparison.largest is None or distance > comparison.largest[0]:
        comparison.largest = distance, result.id, active, candidate


def _judged(answers: Sequence[Feedback], heads: HeadPair) -> JudgedHeads | None:
    if not answers:
        return None
    fits = [answer.answer == "yes" for answer in answers]
    active, candidate = (
        [head.log_odds_of(answer.prompt, answer.match) for answer in answers]
        for head in (heads.active, heads.candidate)
    )
    losses = [[_log_loss(each, fit) for each, fit in zip(side, fits, strict=True)] for side in (active, candidate)]
    gains = [one - other for one, other in zip(*losses, strict=True)]
    return JudgedHeads(
        yes=sum(fits),
        no=len(fits) - sum(fits),
        active=HeadQuality(auroc(active, fits), fmean(losses[0])),
        candidate=HeadQuality(auroc(candidate, fits), fmean(losses[1])),
        gain=(fmean(gains), *_interval(gains)),
    )


def _log_loss(log_odds: float, fits: bool) -> float:  # noqa: FBT001 - an answer
    """Return log(1 + exp(-log_odds)) for a window that fits, without overflow."""
    wrong = -log_odds if fits else log_odds
    return max(wrong, 0.0) + math.log1p(math.exp(-abs(wrong)))


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean, by a seeded bootstrap."""
    chance = random.Random(_SEED)  # noqa: S311 - not for cryptography
    means = sorted(fmean(chance.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    return means[int(_TAIL * _RESAMPLES)], means[-1 - int(_TAIL * _RESAMPLES)]
