"""How much each source counts for a prompt: shipped, or fitted to feedback and kept in a small JSON file. No network.

`triptych train --from-feedback` writes such a file, and workers and comparisons read it (docs/prompts.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, ValidationError

from triptych.schemas.errors import UsageError
from triptych.schemas.perception.matches import Match, MatchEvidence
from triptych.schemas.perception.prompts import digest
from triptych.schemas.values import FROZEN_MAPPING, Count, Value

Source = Literal["video", "audio", "subtitles", "detections"]
SOURCES: Final[tuple[Source, ...]] = get_args(Source)
PRIOR_LOG_ODDS: Final = math.log(0.02 / 0.98)
"""Before anything is seen, one window in fifty fits a prompt."""
_DIGITS: Final = 4


class PromptWeights(Value):
    """The weights of the evidence for one version of a prompt, the log-odds before evidence, and what they rest on.

    `yes` and `no` are the numbers of answers, and `fitted_until_ns` is when the newest of them was given.
    """

    version: str
    prior: float = PRIOR_LOG_ODDS
    by_source: Annotated[Mapping[Source, float], *FROZEN_MAPPING] = Field(default_factory=dict, validate_default=True)
    yes: Count = 0
    no: Count = 0
    fitted_until_ns: Count | None = Field(default=None, exclude_if=lambda until_ns: until_ns is None)


class PromptHead(Value):
    """The weights by prompt. `version` changes with any of them; None for the shipped ones."""

    schema_version: Annotated[int, Field(ge=1)] = 1
    version: str | None = None
    prompts: Annotated[Mapping[str, PromptWeights], *FROZEN_MAPPING] = Field(
        default_factory=dict, validate_default=True
    )

    def weights_of(self, name: str, version: str) -> PromptWeights:
        """Return the weights of a prompt. Those fitted to another version of it do not count."""
        fitted = self.prompts.get(name)
        return _SHIPPED if fitted is None or fitted.version != version else fitted

    def log_odds_of(self, name: str, match: Match) -> float:
        """Return the log-odds of a published match, as this head computes them from its evidence."""
        weights = self.weights_of(name, match.version)
        return log_odds_of(match.evidence, weights.by_source, weights.prior)


_SHIPPED: Final = PromptWeights(version="")
SHIPPED_HEAD: Final = PromptHead()
"""Every source counts once."""


def new_prompt_head(prompts: Mapping[str, PromptWeights]) -> PromptHead:
    """Return a head with these weights, and the version that belongs to them."""
    documents = [f"{name}={weights.model_dump_json()}" for name, weights in sorted(prompts.items())]
    return PromptHead(version=digest(*documents), prompts=prompts)


def read_prompt_head(path: Path) -> PromptHead:
    """Return the head in a file that `triptych train --from-feedback` wrote. Raises `UsageError` if it is not one."""
    try:
        head = PromptHead.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: expected a readable file with a prompt head, got: {error}") from error
    except ValidationError as error:
        raise UsageError(
            f"{path}: expected a prompt head that `triptych train --from-feedback` wrote, got: {error}"
        ) from error
    if head.version != new_prompt_head(head.prompts).version:
        raise UsageError(f"{path}: expected the weights that its version {head.version!r} names, got others")
    return head


def log_odds_of(evidence: MatchEvidence, weights: Mapping[Source, float], prior: float) -> float:
    """Return the sum of the prior and of the evidence that there is. A source without a weight counts once."""
    total = prior
    for source in SOURCES:
        said: float | None = getattr(evidence, source)
        if said is not None:
            total += weights.get(source, 1.0) * said
    return round(total, _DIGITS)


def probability(log_odds: float) -> float:
    """Return the probability with these log-odds."""
    return round(1.0 / (1.0 + math.exp(-max(min(log_odds, 60.0), -60.0))), _DIGITS)
