"""Setting, listing and removing prompts, and giving feedback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from structlog.testing import capture_logs

from triptych.consumers.prompts.feedback import feedback_on
from triptych.consumers.prompts.prompt_topic import PromptTopic, read_feedback, send_feedback
from triptych.schemas.errors import UsageError
from triptych.schemas.names import prompts_topic, result_id
from triptych.schemas.perception.matches import Match
from triptych.schemas.perception.prompts import MOST_PROMPTS, Prompt
from triptych.schemas.results import Modalities, ModalityReport, ModelReference, Result
from triptych.transport.errors import TopicMissingError
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.protocols import Transport
from triptych.transport.records import Message, TopicPartition
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics

ABSENT = ModalityReport(state="absent")


@pytest.fixture
def transport() -> Iterator[Transport]:
    """A broker with the topics of the pipeline `city`."""
    made = MemoryTransport()
    create_topics(made.admin(), "city", TopicSettings(""))
    yield made
    made.close()


def prompt(name: str = "fire", text: str = "a fire") -> Prompt:
    """Return a prompt."""
    return Prompt(name=name, texts={"en": text})


def result(matches: dict[str, Match] | None) -> Result:
    """Return a result with these matches."""
    return Result(
        id=result_id("cam-1", 0, 2, 0),
        stream="cam-1",
        start_ns=0,
        end_ns=2,
        closed_by="progress",
        published_ns=1,
        modalities=Modalities(video=ABSENT, audio=ABSENT, subtitles=ABSENT),
        model=ModelReference(name="base", version="1", sha256="a" * 64),
        matches=matches,
    )


def test_prompts_are_set_changed_and_removed(transport: Transport) -> None:
    """What is read is the last of each name; every change stays on the topic."""
    topic = PromptTopic(transport, "city")
    topic.set(prompt("smoke", "smoke"))
    topic.set(prompt())
    topic.set(prompt(text="flames"))
    assert [(name, found.prompt.texts["en"]) for name, found in topic.read().items()] == [
        ("fire", "flames"),
        ("smoke", "smoke"),
    ]

    topic.remove("fire")
    assert list(topic.read()) == ["smoke"]
    tp = TopicPartition(prompts_topic("city"), 0)
    with closing(transport.reader({tp: 0})) as reader:
        keys = [record.key for record in reader.poll(1).records]
    assert len(set(keys)) == 4


def test_a_prompt_that_does_not_exist_cannot_be_removed(transport: Transport) -> None:
    """The error names those that do."""
    topic = PromptTopic(transport, "city")
    topic.set(prompt())
    with pytest.raises(UsageError, match="no prompt is called 'fires'; there are: fire"):
        topic.remove("fires")


def test_there_is_a_limit(transport: Transport) -> None:
    """A known prompt can still be changed."""
    topic = PromptTopic(transport, "city")
    for number in range(MOST_PROMPTS):
        topic.set(prompt(f"p{number}"))
    with pytest.raises(UsageError, match="at most 64"):
        topic.set(prompt("more"))
    topic.set(prompt("p3", "flames"))
    assert topic.read()["p3"].prompt.texts["en"] == "flames"


def test_a_record_that_is_no_prompt_is_skipped(transport: Transport) -> None:
    """And logged."""
    publisher = transport.publisher()
    publisher.send(Message(prompts_topic("city"), b"x", b"{}")).result(timeout=5)
    publisher.close(5)
    topic = PromptTopic(transport, "city")
    topic.set(prompt())
    with capture_logs() as logs:
        assert list(topic.read()) == ["fire"]
    assert [entry["event"] for entry in logs] == ["prompt_unreadable"]


def test_without_the_topic_the_command_that_creates_it_is_named() -> None:
    """A pipeline from before there were prompts has none."""
    transport = MemoryTransport()
    for call in (PromptTopic(transport, "city").read, lambda: read_feedback(transport, "city")):
        with pytest.raises(TopicMissingError, match="triptych topics create --pipeline city"):
            call()


def test_the_last_answer_counts(transport: Transport) -> None:
    """It carries the match that was judged."""
    match = Match(version="v", score=0.8, log_odds=1.4)
    for answer in ("yes", "no"):
        send_feedback(transport, "city", feedback_on(result({"fire": match}), "fire", answer))  # type: ignore[arg-type]
    (given,) = read_feedback(transport, "city")
    assert (given.answer, given.match, given.stream) == ("no", match, "cam-1")


def test_only_a_match_can_be_judged() -> None:
    """The error names the matches of the result."""
    with pytest.raises(UsageError, match="its matches are: smoke"):
        feedback_on(result({"smoke": Match(score=0, log_odds=0)}), "fire", "yes")
    with pytest.raises(UsageError, match="its matches are: none"):
        feedback_on(result(None), "fire", "yes")
