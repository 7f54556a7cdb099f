"""Comparing two heads of prompts, on matches and on answers."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest

from triptych.consumers.prompts.head_comparison import HeadPair, auroc, compare_heads
from triptych.consumers.prompts.head_comparison_text import head_comparison_lines
from triptych.schemas.perception.matches import Match, MatchEvidence
from triptych.schemas.perception.prompt_head import (
    PRIOR_LOG_ODDS,
    SHIPPED_HEAD,
    PromptWeights,
    new_prompt_head,
    probability,
)
from triptych.schemas.perception.prompts import Feedback

if TYPE_CHECKING:
    from tests.consumers.conftest import MakeResult
    from triptych.schemas.results import Result

VIDEO_ONLY = PromptWeights(version="1", prior=-1.0, by_source={"video": 1.0, "audio": 0.0}, fitted_until_ns=500)
HEADS = HeadPair(SHIPPED_HEAD, new_prompt_head({"fire": VIDEO_ONLY}))


def match(video: float, audio: float, version: str = "1") -> Match:
    """Return a match as a worker with the shipped head publishes it."""
    log_odds = round(PRIOR_LOG_ODDS + video + audio, 4)
    return Match(
        version=version,
        score=probability(log_odds),
        log_odds=log_odds,
        evidence=MatchEvidence(video=video, audio=audio),
    )


def answer(result: Result, number: int, *, yes: bool) -> Feedback:
    """Return an answer about a result."""
    return Feedback(
        result_id=result.id,
        stream=result.stream,
        prompt="fire",
        answer="yes" if yes else "no",
        match=(result.matches or {})["fire"],
        model=result.model,
        given_ns=number,
    )


def test_windows_are_counted_by_which_head_they_fit(make_result: MakeResult) -> None:
    """With the largest difference; revisions and other versions are kept apart."""
    found = [match(6, 1), match(5, -4), match(0, 6), match(-1, -1), match(9, 9, version="2")]
    results = [make_result(number, matches={"fire": one}) for number, one in enumerate(found)]
    revised = make_result(0, matches={"fire": found[0]}, revision=1, id=f"{results[0].window}/1")
    one, other = compare_heads([*results, revised, make_result(7)], [], HEADS)

    assert (one.both, one.only_candidate, one.only_active, one.neither) == (1, 1, 1, 1)
    assert (one.windows, one.differed, one.of_another_head) == (4, 2, 0)
    assert one.largest is not None
    assert one.largest[1] == results[1].id
    assert (other.version, other.both, other.total_distance) == ("2", 1, 0)  # the candidate knows version 1 only
    lines = list(head_comparison_lines([one, other], HEADS))
    assert lines[0].startswith("fire, version 1: 4 windows, agreement 50.0% at a score of .5: both 1, neither 1, ")
    assert f"({results[1].id}: " in lines[1]
    assert "  no answers: `triptych feedback RESULT_ID yes|no --prompt NAME` gives one" in lines
    assert any("fitted to another version" in line for line in lines)


def test_matches_of_another_head_are_reported(make_result: MakeResult) -> None:
    """The comparison is then not that of what was published."""
    published = match(1, 1).model_copy(update={"log_odds": 9.0})
    (one,) = compare_heads([make_result(0, matches={"fire": published})], [], HEADS)
    assert one.of_another_head == 1
    assert any("another head than the active one" in line for line in head_comparison_lines([one], HEADS))


def judged(make_result: MakeResult, count: int, first_ns: int) -> list[Feedback]:
    """Return answers for which the video is right and the audio is noise."""
    chance = random.Random(1)  # noqa: S311 - not for cryptography
    answers = []
    for number in range(count):
        yes = number % 2 == 0
        shown = match(chance.gauss(3 if yes else -1, 1), chance.gauss(0, 4))
        answers.append(answer(make_result(number, matches={"fire": shown}), first_ns + number, yes=yes))
    return answers


def test_answers_tell_which_head_is_better(make_result: MakeResult) -> None:
    """Those that the candidate was not fitted to; with the interval of the difference."""
    (one,) = compare_heads([], judged(make_result, 60, 501), HEADS)
    assert one.fitted is None
    assert one.new is not None
    assert (one.new.yes, one.new.no) == (30, 30)
    assert (one.new.candidate.auroc or 0) > 0.95
    assert (one.new.active.auroc or 1) < 0.9
    mean, low, high = one.new.gain
    assert 0 < low < mean < high
    assert mean == pytest.approx(one.new.active.log_loss - one.new.candidate.log_loss)
    assert any(line.endswith("; the candidate is better") for line in head_comparison_lines([one], HEADS))
    reverse = HeadPair(HEADS.candidate, SHIPPED_HEAD)
    (swapped,) = compare_heads([], judged(make_result, 60, 501), reverse)
    assert any(line.endswith("; the active head is better") for line in head_comparison_lines([swapped], reverse))


def test_answers_that_the_candidate_was_fitted_to_decide_nothing(make_result: MakeResult) -> None:
    """And few answers do not either."""
    (one,) = compare_heads([], judged(make_result, 60, 400), HEADS)
    assert one.fitted is None or one.fitted.yes + one.fitted.no == 60
    assert one.new is None
    assert not any("better" in line for line in head_comparison_lines([one], HEADS))
    (few,) = compare_heads([], judged(make_result, 10, 501), HEADS)
    assert any("too few to tell" in line for line in head_comparison_lines([few], HEADS))


def test_the_area_under_the_curve() -> None:
    """Ties count one half; without both kinds there is none."""
    assert auroc([3, 2, 1], [True, False, False]) == 1
    assert auroc([1, 1], [True, False]) == 0.5
    assert auroc([1, 2, 3, 4], [True, False, True, False]) == 0.25
    assert auroc([1.0], [True]) is None


def test_the_log_loss_is_that_of_the_probability(make_result: MakeResult) -> None:
    """Also where the log-odds are extreme."""
    results = [make_result(number, matches={"fire": match(*pair)}) for number, pair in enumerate([(4, 1), (900, 900)])]
    answers = [answer(results[0], 501, yes=False), answer(results[1], 502, yes=False)]
    (one,) = compare_heads([], answers, HEADS)
    assert one.new is not None
    expected = (-math.log(1 - 1 / (1 + math.exp(-(PRIOR_LOG_ODDS + 5)))) + PRIOR_LOG_ODDS + 1_800) / 2
    assert one.new.active.log_loss == pytest.approx(expected, rel=1e-6)
