"""Nobody learns from an answer what a feed shows that they may not see."""

# ruff: noqa: RUF001 - Chinese has punctuation of its own

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.consumers.page.questions_world import HIDDEN, SEEN, publish_hidden, publish_seen, rules, write_index
from tests.scripted_endpoint import scripted_endpoint, texts
from triptych.consumers.asking.asker import Asker
from triptych.consumers.asking.grounded import GroundedWriter
from triptych.consumers.asking.lookup import AskLimits, AskScope
from triptych.consumers.describing.chat.endpoint import HttpChatEndpoint
from triptych.consumers.page.questions.question_desk import QuestionDesk
from triptych.consumers.page.web.access import PageUser, Users, granted_roles, token_hash
from triptych.consumers.page.web.gate import AccessRules
from triptych.consumers.page.web.login import Sessions

if TYPE_CHECKING:
    from tests.consumers.page.conftest import PagePipeline, ServedPage, ServePage

QUESTIONS = (
    "When was a dog seen?",
    "When was the first time a dog was seen?",
    "When was the last time someone mentioned the bank?",
    "How many dogs were seen?",
    "How often was the bank mentioned?",
    "How long was a dog seen?",
    "Who mentioned the bank?",
    "Who was mentioned?",
    "On which stream was a dog seen?",
    "Was a zebra ever seen?",
    "Was a cat ever seen?",
    "When was a cat seen?",
    "Was an elephant never seen?",
    "Did anyone mention gold?",
    "Was gold never mentioned?",
    "What was said in the last 5 minutes?",
    "What was seen in the last 10 minutes?",
    "What was seen while someone mentioned the bank?",
    "When did someone mention the bank, and what was on screen?",
    "What was heard?",
    "What was said after the dog was seen?",
    "What was said before the bank was mentioned?",
    "Was a dog or a cat seen more often?",
    "Which was mentioned more often, the bank or gold?",
    "When was a dog seen on harbour?",
    "When was a dog seen on camera bank-1?",
    "When was a dog seen on camera nowhere?",
    "When was a dog seen today?",
    "什么时候看到狗？",
    "狗出现了几次？",
    "最多有几只狗？",
    "谁提到了银行？",
    "哪个摄像头看到了狗？",
    "从来没有看到斑马吗？",
    "Explain the meaning of the feeds.",
)
FOLLOW_UPS = ("When was the bank mentioned?", "And after that?", "Who said it?", "What was seen then?")


def limited(folder: Path, *feeds: str) -> tuple[Asker, AskLimits]:
    """Return an asker for somebody who may see these feeds."""
    return Asker.open(folder), AskLimits(lambda stream: stream in feeds)


@pytest.fixture
def folder(pipeline: PagePipeline, tmp_path: Path) -> Path:
    """The index of all feeds."""
    publish_seen(pipeline)
    publish_hidden(pipeline)
    return write_index(pipeline, tmp_path / "all")


@pytest.fixture
def alone(pipeline: PagePipeline, tmp_path: Path) -> Path:
    """The index of the feed that may be seen, as if there were no other one."""
    publish_seen(pipeline)
    return write_index(pipeline, tmp_path / "alone")


def test_answers_are_those_of_an_index_without_the_hidden_feeds(
    pipeline: PagePipeline, alone: Path, tmp_path: Path
) -> None:
    """In all that they have: text, value, times, evidence, notes. And for all kinds of questions."""
    publish_hidden(pipeline)
    folder = write_index(pipeline, tmp_path / "all")
    asker, limits = limited(folder, SEEN)
    without, everything = Asker.open(alone), Asker.open(folder)
    differ = 0
    for question in QUESTIONS:
        answer = asker.ask(question, limits=limits)
        assert answer == without.ask(question), question
        said = [text for text in (*HIDDEN, "gold for", "CAROL", "Mary") if text not in question]
        assert not any(text in str(answer) for text in said), question
        differ += answer != everything.ask(question)
    assert differ > 25, "the hidden feeds would change most answers"


def test_what_the_user_names_is_not_looked_at_either(folder: Path) -> None:
    """A scope, or a question, that names a hidden feed is one about a feed that does not exist."""
    asker, limits = limited(folder, SEEN)
    question = "When was a dog seen?"
    hidden = asker.ask(question, AskScope((HIDDEN[0],)), limits=limits)
    assert hidden == asker.ask(question, AskScope(("nowhere",)), limits=limits)
    assert hidden.outcome == "not_found"
    named = asker.ask("When was a dog seen on camera harbour?", limits=limits)
    assert named.text.replace("harbour", "nowhere") == asker.ask(QUESTIONS[26], limits=limits).text


def test_who_may_see_nothing_is_told_nothing(folder: Path) -> None:
    """No feed that may be seen is not the same as no restriction."""
    asker, limits = limited(folder)
    assert {asker.ask(question, limits=limits).outcome for question in QUESTIONS} == {"not_found"}


def test_a_language_model_is_given_only_what_the_user_may_see(
    pipeline: PagePipeline, alone: Path, tmp_path: Path
) -> None:
    """Also where no rule fits, and it is given what a search finds: hidden feeds push nothing out of that."""
    publish_hidden(pipeline)
    folder = write_index(pipeline, tmp_path / "all")
    questions = (
        "Who mentioned the bank?",
        "Explain the bank and the gold.",
        "Explain the gold.",
        "Was a zebra never seen?",
    )
    with scripted_endpoint() as endpoint:
        endpoint.answer = lambda _: "Anna mentioned the bank [1]. Carol has gold [1]."
        writer = GroundedWriter(HttpChatEndpoint(endpoint.url, key=None, timeout_s=10), "m")
        given = []
        for asker, limits in (
            (Asker.open(alone, writer=writer), AskLimits()),
            (Asker.open(folder, writer=writer), AskLimits(lambda stream: stream == SEEN)),
        ):
            answers_of = [asker.ask(question, limits=limits) for question in questions]
            given.append((answers_of, [texts(body) for body in endpoint.asked]))
            endpoint.asked.clear()
    assert given[0] == given[1]
    assert [answer.worded for answer in given[0][0]] == ["Anna mentioned the bank [1]."] * 2 + [""] * 2


def answers(page: ServedPage, questions: tuple[str, ...], **more: str) -> list[dict[str, Any]]:
    """Return what a conversation answers."""
    found: list[dict[str, Any]] = []
    for question in questions:
        conversation = found[-1]["conversation"] if found else more.get("conversation", "")
        found.append(page.post("/api/ask", {"question": question, "conversation": conversation}))
    return found


def test_the_page_answers_each_user_from_their_own_feeds(serve: ServePage, folder: Path) -> None:
    """Also in a conversation."""
    page = serve(rules(anna=("city-?",), all=("*",)), desk=QuestionDesk(folder, "triptych"))
    page.post("/api/ask", {"question": QUESTIONS[0]}, 401)
    page.post("/api/login", {"token": "anna"})
    own = answers(page, (*FOLLOW_UPS, "How many dogs were seen?", "Was a zebra never seen?"))
    assert {moment["feed"] for body in own for moment in body["moments"]} == {SEEN}
    assert [body["is_continued"] for body in own[:3]] == [False, True, True]
    assert all(body["is_restricted"] for body in own)
    assert (own[4]["text"][:9], own[5]["text"][:5]) == ("At most 2", "Never")
    page.post("/api/ask", {"question": QUESTIONS[0], "feed": "harbour"}, 404)
    page.post("/api/ask", {"question": QUESTIONS[0], "feed": "nowhere"}, 404)
    page.post("/api/login", {"token": "all"})
    others = answers(page, ("How many dogs were seen?", "Was a zebra never seen?"))
    assert others[0]["text"].startswith("At most 9")
    assert not others[1]["text"].startswith("Never")
    assert not others[0]["is_restricted"]


def test_a_conversation_is_not_continued_by_another_user(serve: ServePage, folder: Path) -> None:
    """Who knows its key is not told what it was about; nor in another login of the same user."""
    page = serve(rules(anna=("city-?",), all=("*",)), desk=QuestionDesk(folder, "triptych"))
    page.post("/api/login", {"token": "all"})
    [first] = answers(page, ("When was the last time someone mentioned gold?",))
    page.post("/api/login", {"token": "anna"})
    [stolen] = answers(page, ("And after that?",), conversation=first["conversation"])
    assert (stolen["is_continued"], stolen["outcome"], stolen["moments"]) == (False, "not_understood", [])
    assert stolen["conversation"] != first["conversation"]


class ChangingUsers(Users):
    """Users who may see other feeds at any time."""

    feeds: tuple[str, ...] = ("*",)

    def get(self, name: str) -> PageUser | None:
        """Return a user with the feeds of now."""
        user = super().get(name)
        return None if user is None else replace(user, feeds=self.feeds)


def test_a_user_whose_feeds_change_continues_no_conversation_about_the_others(serve: ServePage, folder: Path) -> None:
    """The users file names fewer feeds: the same cookie and the same conversation now know nothing of the others."""
    users = ChangingUsers([PageUser("anna", granted_roles(["see"]), ("*",), token_hash("anna"))])
    page = serve(AccessRules(users=users, sessions=Sessions(b"k" * 32, users)), desk=QuestionDesk(folder, "triptych"))
    page.post("/api/login", {"token": "anna"})
    [first] = answers(page, ("When was a zebra seen?",))
    assert {moment["feed"] for moment in first["moments"]} == set(HIDDEN)
    users.feeds = ("city-?",)
    [then, again] = answers(page, ("What was said then?", "When was it seen?"), conversation=first["conversation"])
    assert (then["is_continued"], then["conversation"] != first["conversation"]) == (False, True)
    assert {moment["feed"] for body in (then, again) for moment in body["moments"]} <= {SEEN}
    assert "zebra" not in str((then, again))
