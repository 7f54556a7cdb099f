"""A small run of the questions over generated feeds: the goals hold, and wrong answers are counted as such."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.asking.__main__ import EXACT_GOAL, REFUSED_GOAL, ask_all, table, wilson
from benchmarks.asking.feeds import known_feeds, write_index
from benchmarks.asking.questions import known_questions
from triptych.consumers.asking.asker import Asker


def test_questions_about_generated_feeds_are_answered_exactly(tmp_path: Path) -> None:
    """Without a model. The seed is not the benchmark's."""
    feeds = known_feeds(7, windows=300)
    write_index(tmp_path / "index", feeds, windows=300)
    questions = [one for number, one in enumerate(known_questions(feeds, 7, windows=300)) if number % 3 == 0]
    judged = ask_all(Asker.open(tmp_path / "index"), questions)
    answered = [one.is_right for one in judged if one.question.truth is not None]
    refused = [one.is_right for one in judged if one.question.truth is None]
    assert sum(answered) >= EXACT_GOAL * len(answered)
    assert sum(refused) >= REFUSED_GOAL * len(refused)
    assert sum(one.wrong_citations for one in judged if one.is_right) == 0
    assert "| refused |" in table(judged)
    changed = [replace(one, truth=replace(one.truth, value="wrong")) for one in questions if one.truth is not None]
    assert not any(one.is_right for one in ask_all(Asker.open(tmp_path / "index"), changed[:10]))


def test_the_interval_of_a_share() -> None:
    """Wilson's, compared with a published example: 15 of 148 is .062 to .160."""
    assert wilson(15, 148) == (pytest.approx(0.0624, abs=1e-3), pytest.approx(0.1605, abs=1e-3))
