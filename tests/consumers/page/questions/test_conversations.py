"""What is remembered between questions is bounded, and belongs to one login."""

from __future__ import annotations

import pytest

from triptych.consumers.asking.session import LastAnswer
from triptych.consumers.page.problems import PageProblemError
from triptych.consumers.page.questions.conversations import (
    AGE_S,
    MOST,
    MOST_OF_USER,
    QUESTIONS_A_MINUTE,
    ConversationOwner,
    Conversations,
    QuestionTurns,
)

ANNA = ConversationOwner("anna", ("*",), "login 1")
LAST = LastAnswer("the bank", "city", 1, 2)


@pytest.mark.parametrize(
    "other",
    [
        ConversationOwner("ben", ("*",), "login 1"),
        ConversationOwner("anna", ("city",), "login 1"),
        ConversationOwner("anna", ("*",), "login 2"),
    ],
)
def test_a_conversation_belongs_to_a_user_in_one_login_with_the_same_feeds(other: ConversationOwner) -> None:
    """Others are told nothing of it, cannot change it, and get one of their own."""
    kept = Conversations()
    key = kept.store("", ANNA, LAST, 0.0)
    assert kept.last(key, ANNA, 1.0) == LAST
    assert kept.last(key, other, 1.0) is None
    assert kept.store(key, other, LastAnswer("gold"), 1.0) != key
    assert kept.last(key, ANNA, 1.0) == LAST
    assert kept.store(key, ANNA, LastAnswer("gold"), 1.0) == key


def test_a_conversation_in_which_nothing_is_asked_is_forgotten() -> None:
    """Each question lets it last longer. A key that somebody made up is none."""
    kept = Conversations()
    key = kept.store("", ANNA, LAST, 0.0)
    kept.store(key, ANNA, LAST, AGE_S - 1)
    assert kept.last(key, ANNA, AGE_S + 1) == LAST
    assert kept.last(key, ANNA, 2 * AGE_S) is None
    assert kept.store(key, ANNA, LAST, 2 * AGE_S) != key
    assert kept.store("made-up", ANNA, LAST, 2 * AGE_S) != "made-up"
    assert len(kept) == 2


def test_the_number_of_conversations_is_bounded() -> None:
    """Of one user, whose oldest go first, and of all."""
    kept = Conversations()
    first = kept.store("", ConversationOwner("ben", ()), LAST, 0.0)
    keys = [kept.store("", ANNA, LAST, 0.0) for _ in range(MOST_OF_USER + 1)]
    assert [kept.last(key, ANNA, 0.0) is None for key in keys] == [True, *[False] * MOST_OF_USER]
    assert kept.last(first, ConversationOwner("ben", ()), 0.0) == LAST
    for number in range(MOST):
        kept.store("", ConversationOwner(f"user {number}", ()), LAST, 0.0)
    assert len(kept) == MOST


def test_questions_are_limited_a_minute_and_to_one_at_a_time() -> None:
    """Of each user alone. A question that is refused counts nothing."""
    turns = QuestionTurns()
    turns.begin("anna", 0.0)
    with pytest.raises(PageProblemError) as busy:
        turns.begin("anna", 0.0)
    assert busy.value.status == 409
    turns.begin("ben", 0.0)
    turns.end("anna")
    for _ in range(QUESTIONS_A_MINUTE - 1):
        turns.begin("anna", 30.0)
        turns.end("anna")
    with pytest.raises(PageProblemError) as many:
        turns.begin("anna", 40.0)
    assert (many.value.status, many.value.retry_after_s) == (429, 20)
    turns.begin("anna", 60.0)
