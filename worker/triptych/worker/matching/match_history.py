"""Matches of windows with prompts, by the past of their stream. Pure.

The state consists of published results only. A restart restores it from the tail of the results topic and computes the
same matches as an undisturbed worker (alignment rule 21, docs/alignment.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from triptych.schemas.perception.matches import Match
from triptych.schemas.perception.prompt_head import SHIPPED_HEAD, SOURCES, PromptHead, log_odds_of, probability
from triptych.schemas.perception.prompts import digest
from triptych.schemas.results import Result
from triptych.worker.matching.evidence import evidence_of, similarity_row
from triptych.worker.matching.prompt_timeline import EmbeddedPrompt, PromptSource
from triptych.worker.matching.similarities import WindowSources, similarity_of
from triptych.worker.publishing.window_memory import WindowMemory

_REMEMBERED_WINDOWS: Final = 256
_FEWEST_FOR_QUANTILE: Final = 20
_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class PastMatch:
    """What is remembered of a match: the version of the prompt, the similarities (`similarity_row`), the log-odds."""

    version: str
    similarities: tuple[float, ...]
    log_odds: float


class MatchHistory:
    """The matches of the recent windows of each stream of one partition (see `WindowMemory`)."""

    def __init__(self, stream_ttl_ns: int, prompts: PromptSource, head: PromptHead = SHIPPED_HEAD) -> None:
        """Create an empty history.

        Args:
            stream_ttl_ns: how long windows are remembered, in arrival time.
            prompts: tells which prompts are in effect.
            head: how much each source counts for each prompt.
        """
        self._prompts = prompts
        self._head = head
        self._windows: WindowMemory[Mapping[str, PastMatch]] = WindowMemory(stream_ttl_ns, windows=_REMEMBERED_WINDOWS)

    def with_matches(self, result: Result, window: WindowSources, *, clock_ns: int) -> Result:
        """Return a copy of a new result with its matches, and remember it. A result without prompts stays as it is.

        A prompt for which the window has no source at all has no match.

        Args:
            result: a new result.
            window: what the prompts are compared with.
            clock_ns: the arrival clock of the decision, for which the prompts must be known.
        """
        wanted = self._prompts.in_effect(result.stream, clock_ns)
        if wanted.version is None:
            return result
        before = [each.value for each in self._windows.before(result) if each.model == result.model.sha256]
        found = {prompt.name: self._match(prompt, window, before) for prompt in wanted.prompts}
        matches = {name: match for name, match in found.items() if match is not None}
        version = wanted.version if self._head.version is None else digest(wanted.version, self._head.version)
        matched = result.model_copy(update={"matches": matches, "prompts_version": version})
        self.remember(matched)
        return matched

    def remember(self, result: Result) -> None:
        """Add a published result to the history of its stream. A revision takes the place of the result before."""
        if not result.matches:
            return
        past = {
            name: PastMatch(match.version, similarity_row(match.similarity), match.log_odds)
            for name, match in result.matches.items()
            if match.similarity is not None
        }
        self._windows.add(result, past)

    def _match(
        self, prompt: EmbeddedPrompt, window: WindowSources, before: Sequence[Mapping[str, PastMatch]]
    ) -> Match | None:
        similarity = similarity_of(prompt, window)
        if all(map(math.isnan, similarity_row(similarity.by_source))):
            return None
        past = [m for matches in before if (m := matches.get(prompt.name)) is not None and m.version == prompt.version]
        similarities = np.array([match.similarities for match in past], np.float64).reshape(-1, len(SOURCES))
        direction = prompt.direction
        space = None if direction is None or len(direction.negatives) else direction.space
        evidence = evidence_of(similarity.by_source, similarities, space)
        weights = self._head.weights_of(prompt.name, prompt.version)
        log_odds = log_odds_of(evidence, weights.by_source, weights.prior)
        return Match(
            version=prompt.version,
            score=probability(log_odds),
            log_odds=log_odds,
            quantile=_quantile(log_odds, [match.log_odds for match in past]),
            similarity=similarity.by_source,
            evidence=evidence,
            at_ns=similarity.at_ns,
        )


def _quantile(log_odds: float, past: Sequence[float]) -> float | None:
    if len(past) < _FEWEST_FOR_QUANTILE:
        return None
    return round(sum(other < log_odds for other in past) / len(past), _DIGITS)
