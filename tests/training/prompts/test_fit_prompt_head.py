"""Fitting the weights of the prompts' evidence to feedback."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from triptych.schemas.perception.matches import Match, MatchEvidence
from triptych.schemas.perception.prompt_head import PRIOR_LOG_ODDS, read_prompt_head
from triptych.schemas.perception.prompts import Feedback
from triptych.schemas.results import ModelReference
from triptych.training.prompts.feedback_run import HEAD_FILE, write_head
from triptych.training.prompts.fit_prompt_head import fit_prompts, prompt_head_of

MODEL = ModelReference(name="base", version="1", sha256="a" * 64)


def answers(
    count: int, *, seed: int = 1, prior: float = -1.0, video: float = 2.0, audio: float = 0.0, version: str = "v"
) -> list[Feedback]:
    """Return answers of somebody whose log-odds have these weights. Every third window has no sound."""
    random = np.random.default_rng(seed)
    given = []
    for number in range(count):
        seen, heard = (float(random.normal(0, 2)) for _ in range(2))
        has_audio = number % 3 > 0
        log_odds = prior + video * seen + audio * (heard if has_audio else 0)
        evidence = MatchEvidence(video=round(seen, 4), audio=round(heard, 4) if has_audio else None)
        fits = random.random() < 1 / (1 + np.exp(-log_odds))
        given.append(
            Feedback(
                result_id=f"city/{number}-{number + 1}/0",
                stream="city",
                prompt="fire",
                answer="yes" if fits else "no",
                match=Match(version=version, score=0.5, log_odds=0, evidence=evidence),
                model=MODEL,
                given_ns=number + seed * 1_000,
            )
        )
    return given


def test_many_answers_recover_the_weights_behind_them() -> None:
    """A source that says nothing of use gets no weight, and is never held against a match."""
    (fitted,) = fit_prompts(answers(1_500))
    weights = fitted.weights
    assert weights.prior == pytest.approx(-1, abs=0.3)
    assert weights.by_source["video"] == pytest.approx(2, abs=0.3)
    assert 0 <= weights.by_source["audio"] < 0.15
    assert weights.by_source["detections"] == 1  # never seen
    assert (weights.yes + weights.no, fitted.is_better) == (1_500, True)


def test_few_answers_change_little_and_too_few_nothing() -> None:
    """The prior holds the weights near the shipped ones."""
    (few,) = fit_prompts(answers(25))
    assert abs(few.weights.by_source["video"] - 1) < abs(2 - 1)
    (one_sided,) = fit_prompts([answer for answer in answers(25) if answer.answer == "yes"])
    assert one_sided.loss_after is None
    assert one_sided.weights.prior == pytest.approx(PRIOR_LOG_ODDS, abs=1e-3)
    assert prompt_head_of([one_sided]).prompts == {}


def test_answers_about_an_earlier_text_are_left_out() -> None:
    """They judged another question."""
    (fitted,) = fit_prompts([*answers(40, version="old"), *answers(60, seed=2, version="new")])
    assert (fitted.weights.version, fitted.weights.yes + fitted.weights.no, fitted.other_versions) == ("new", 60, 40)


def test_weights_that_are_not_better_are_not_used() -> None:
    """Whoever answers as the shipped weights do, or at random, changes nothing for the worse."""
    random = np.random.default_rng(5)
    noise = [answer.model_copy(update={"answer": random.choice(["yes", "no"])}) for answer in answers(60)]
    for given in (answers(30, seed=3, prior=PRIOR_LOG_ODDS, video=1, audio=1), noise):
        (fitted,) = fit_prompts(given)
        assert fitted.is_better == (fitted.loss_after is not None and fitted.loss_after < fitted.loss_before)
        assert bool(prompt_head_of([fitted]).prompts) == fitted.is_better


def test_the_written_head_is_the_one_that_a_worker_reads(tmp_path: Path) -> None:
    """And the lines tell what was fitted, and how to use it."""
    fitted = fit_prompts(answers(200))
    lines = write_head(fitted, tmp_path / "out")
    assert read_prompt_head(tmp_path / "out" / HEAD_FILE) == prompt_head_of(fitted)
    assert "10-fold cross-validation" in lines[0]
    assert "TRIPTYCH_PROMPTS_HEAD=" in lines[-1]
    assert "no head was written" in write_head(fit_prompts(answers(3)), tmp_path / "none")[-1]
    assert not (tmp_path / "none").exists()
