"""Logistic regression on the evidence of matches that people judged, for each prompt. Pure.

The log-odds of a match are a prior and a weighted sum of the evidence of its sources. The weights and the prior
minimise the log loss of the answers, with Gaussian priors around the shipped values (a weight of 1 for every source):
few answers change little. A weight is never negative, since evidence for a match cannot speak against it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych.schemas.perception.prompt_head import (
    PRIOR_LOG_ODDS,
    SOURCES,
    PromptHead,
    PromptWeights,
    new_prompt_head,
)
from triptych.schemas.perception.prompts import Feedback

Numbers = NDArray[np.float64]

FEWEST_ANSWERS: Final = 5
"""Of each kind, for a prompt to be fitted."""
_FOLDS: Final = 10
_WEIGHT_PRECISION: Final = 2.0
"""Inverse variance of a weight around 1."""
_PRIOR_PRECISION: Final = 0.1
"""Inverse variance of the prior log-odds around the shipped ones."""
_STEPS: Final = 50
_ENOUGH: Final = 1e-9


@dataclass(frozen=True, slots=True)
class FittedPrompt:
    """What came of the answers about one prompt.

    Attributes:
        name: the prompt.
        weights: the fitted weights, with the version of the prompt and the numbers of answers.
        other_versions: answers about other versions of the prompt, which are left out.
        loss_before: the mean log loss of the answers with the shipped weights, in nats.
        loss_after: that of weights fitted to the other answers (cross-validation); None with too few answers.
    """

    name: str
    weights: PromptWeights
    other_versions: int
    loss_before: float
    loss_after: float | None

    @property
    def is_better(self) -> bool:
        """Whether the fitted weights are better than the shipped ones, on answers that they were not fitted to."""
        return self.loss_after is not None and self.loss_after < self.loss_before


def fit_prompts(feedback: Sequence[Feedback]) -> list[FittedPrompt]:
    """Fit each prompt to the answers about its newest version, in alphabetical order."""
    return [_fit([answer for answer in feedback if answer.prompt == name]) for name in _names(feedback)]


def prompt_head_of(fitted: Sequence[FittedPrompt]) -> PromptHead:
    """Return the head of those prompts for which the fitted weights are better."""
    weights: Mapping[str, PromptWeights] = {prompt.name: prompt.weights for prompt in fitted if prompt.is_better}
    return new_prompt_head(weights)


def _names(feedback: Sequence[Feedback]) -> list[str]:
    return sorted({answer.prompt for answer in feedback})


def _fit(answers: Sequence[Feedback]) -> FittedPrompt:
    version = max(answers, key=lambda answer: answer.given_ns).match.version
    own = [answer for answer in answers if answer.match.version == version]
    evidence = np.array([[_said(answer, source) for source in SOURCES] for answer in own], np.float64)
    fits = np.array([answer.answer == "yes" for answer in own], np.float64)
    yes = int(fits.sum())
    shipped = np.array([PRIOR_LOG_ODDS, *np.ones(len(SOURCES))])
    enough = min(yes, len(own) - yes) >= FEWEST_ANSWERS
    prior, *weights = _parameters(evidence, fits) if enough else shipped
    return FittedPrompt(
        name=answers[0].prompt,
        weights=PromptWeights(
            version=version,
            prior=round(float(prior), 4),
            by_source={source: round(float(weight), 4) for source, weight in zip(SOURCES, weights, strict=True)},
            yes=yes,
            no=len(own) - yes,
            fitted_until_ns=max(answer.given_ns for answer in own),
        ),
        other_versions=len(answers) - len(own),
        loss_before=float(_losses(shipped, evidence, fits).mean()),
        loss_after=_cross_validated_loss(evidence, fits) if enough else None,
    )


def _said(answer: Feedback, source: str) -> float:
    said: float | None = getattr(answer.match.evidence, source)
    return 0.0 if said is None else said


def _losses(parameters: Numbers, evidence: Numbers, fits: Numbers) -> Numbers:
    """Return the log loss of each answer, [N]; `parameters` are the prior and the weights, `evidence` is [N, 4]."""
    log_odds = parameters[0] + evidence @ parameters[1:]
    losses: Numbers = np.logaddexp(0.0, np.where(fits > 0, -log_odds, log_odds))
    return losses


def _cross_validated_loss(evidence: Numbers, fits: Numbers) -> float:
    """Return the mean log loss of each answer by weights that were fitted without it, or a tenth with it."""
    order = np.argsort(fits, kind="stable")  # so that each fold has answers of both kinds
    fold = np.empty(len(fits), np.int64)
    fold[order] = np.arange(len(fits)) % _FOLDS
    losses = []
    for number in range(min(_FOLDS, len(fits))):
        left_out = fold == number
        parameters = _parameters(evidence[~left_out], fits[~left_out])
        losses.append(_losses(parameters, evidence[left_out], fits[left_out]))
    return float(np.concatenate(losses).mean())


def _parameters(evidence: Numbers, fits: Numbers) -> Numbers:
    """Return the prior and the weights with the largest posterior probability, [5]."""
    free = np.ones(1 + evidence.shape[1], np.bool_)
    while True:
        parameters = _newton(evidence, fits, free)
        negative = (parameters < 0) & free
        negative[0] = False
        if not negative.any():
            return parameters
        free &= ~negative


def _newton(evidence: Numbers, fits: Numbers, free: NDArray[np.bool_]) -> Numbers:
    """Minimise the penalised log loss over the free parameters, with the others at 0. It is strictly convex."""
    inputs = np.column_stack([np.ones(len(fits)), evidence])[:, free]
    centre = np.array([PRIOR_LOG_ODDS, *np.ones(evidence.shape[1])])[free]
    precision = np.array([_PRIOR_PRECISION, *np.full(evidence.shape[1], _WEIGHT_PRECISION)])[free]
    found = centre.copy()
    for _ in range(_STEPS):
        probabilities = 1.0 / (1.0 + np.exp(-np.clip(inputs @ found, -60.0, 60.0)))
        gradient = inputs.T @ (probabilities - fits) + precision * (found - centre)
        spread = probabilities * (1.0 - probabilities)
        step = np.linalg.solve((inputs * spread[:, None]).T @ inputs + np.diag(precision), gradient)
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), _ENOUGH))  # far steps overshoot where the loss is flat
        found -= step
        if float(np.abs(step).max()) < _ENOUGH:
            break
    parameters = np.zeros(len(free))
    parameters[free] = found
    return parameters
