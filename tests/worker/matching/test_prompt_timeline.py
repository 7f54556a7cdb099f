"""Which prompts are in effect for a decision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.matching.prompt_texts import S, change, timeline, word_vector
from triptych.schemas.perception.prompts import MOST_PROMPTS, Prompt
from triptych.worker.matching.prompt_timeline import AppendedChange, PromptSet, PromptTimeline


def names(prompts: PromptSet) -> list[str]:
    """Return the names of the prompts."""
    return [prompt.name for prompt in prompts.prompts]


def test_a_change_takes_effect_after_the_delay() -> None:
    """At the arrival clock of its own arrival plus the delay, not a nanosecond earlier."""
    prompts = timeline(change("fire", "fire", at_s=10), change("dog", "dog", at_s=12), change("fire", at_s=20))

    assert names(prompts.in_effect("city", 15 * S - 1)) == []
    assert names(prompts.in_effect("city", 15 * S)) == ["fire"]
    assert names(prompts.in_effect("city", 17 * S)) == ["dog", "fire"]
    assert names(prompts.in_effect("city", 25 * S)) == ["dog"]
    assert prompts.in_effect("city", 15 * S - 1).version is None


def test_only_what_is_read_is_known() -> None:
    """A change that arrives later than what was read takes effect later than the delay after it."""
    prompts = timeline(known_until_s=100)

    assert prompts.is_known(105 * S - 1)
    assert not prompts.is_known(105 * S)
    assert prompts.extended([], known_until_ns=101 * S).is_known(105 * S)
    assert prompts.extended([], known_until_ns=7 * S).is_known(105 * S - 1)  # what was known stays known


def test_feeds_select_the_streams() -> None:
    """By pattern. A stream that is not asked has neither prompts nor a version."""
    prompts = timeline(change("fire", "fire", at_s=0, feeds="cam-*"), change("dog", "dog", at_s=0))

    assert names(prompts.in_effect("cam-7", 9 * S)) == ["dog", "fire"]
    assert names(prompts.in_effect("city", 9 * S)) == ["dog"]
    assert prompts.in_effect("cam-7", 9 * S).version != prompts.in_effect("city", 9 * S).version


def test_the_version_depends_on_what_is_in_effect_only() -> None:
    """Not on how it came about: the same prompts set again have the same version, other texts another one."""
    first = timeline(change("fire", "fire", at_s=0)).in_effect("city", 9 * S)
    again = timeline(
        change("fire", "smoke", at_s=0), change("fire", at_s=1), change("fire", "fire", at_s=2, feeds="c*")
    )

    assert again.in_effect("city", 9 * S).version == first.version
    assert again.in_effect("city", 5 * S).version != first.version


def test_texts_of_several_languages_are_averaged() -> None:
    """The direction of a prompt lies between its translations."""
    prompt = Prompt(name="fire", texts={"en": "fire", "de": "feuer"}, negatives=("sunset",))
    set_ = change("fire", "fire", at_s=0)
    both = AppendedChange(0, set_.change.model_copy(update={"prompt": prompt}))
    (found,) = timeline(both).in_effect("city", 9 * S).prompts

    assert found.direction is not None
    assert found.direction.vector @ word_vector("fire") == pytest.approx(0.5**0.5, abs=0.01)
    assert found.direction.vector @ word_vector("feuer") == pytest.approx(0.5**0.5, abs=0.01)
    assert np.linalg.norm(found.direction.vector) == pytest.approx(1)
    assert found.direction.negatives.shape == (1, 8)


def test_names_beyond_the_limit_have_no_effect() -> None:
    """Until one is removed. A known name may still be changed."""
    changes = [change(f"p{number}", "dog", at_s=0) for number in range(MOST_PROMPTS)]
    full = timeline(*changes, change("more", "dog", at_s=1), change("p7", "fire", at_s=2))
    freed = timeline(*changes, change("p0", at_s=1), change("more", "dog", at_s=2))

    assert len(names(full.in_effect("city", 9 * S))) == MOST_PROMPTS
    assert "more" not in names(full.in_effect("city", 9 * S))
    assert full.in_effect("city", 9 * S).version != full.in_effect("city", 6 * S).version
    assert "more" in names(freed.in_effect("city", 9 * S))


@given(
    at_s=st.lists(st.integers(0, 30), max_size=12).map(sorted),
    kinds=st.lists(st.sampled_from(["fire", "dog", None]), min_size=12, max_size=12),
    cut=st.integers(0, 12),
    clock_s=st.integers(0, 40),
)
def test_the_answer_is_the_same_however_the_topic_is_read(
    at_s: list[int], kinds: list[str | None], cut: int, clock_s: int
) -> None:
    """At once or in parts, and with or without what came later: what counts is the log up to the clock."""
    changes = [change("p", text, at_s=second) for second, text in zip(at_s, kinds, strict=False)]
    whole = timeline(*changes)
    parts = PromptTimeline(5 * S).extended(changes[:cut], known_until_ns=0)
    parts.in_effect("city", clock_s * S)  # asking early must not spoil a later answer
    parts = parts.extended(changes[cut:], known_until_ns=50 * S)
    arrived = timeline(*[each for each in changes if each.arrival_ns + 5 * S <= clock_s * S])

    answer = whole.in_effect("city", clock_s * S)
    assert (names(answer), answer.version) == (
        names(parts.in_effect("city", clock_s * S)),
        parts.in_effect("city", clock_s * S).version,
    )
    assert answer.version == arrived.in_effect("city", 10**6 * S).version
