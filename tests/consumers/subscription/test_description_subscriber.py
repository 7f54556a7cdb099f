"""Reading descriptions from Python."""

from __future__ import annotations

import pytest

from tests.consumers.describing.conftest import PIPELINE, make_window
from tests.consumers.describing.test_gate import description_of
from triptych.consumers import DescriptionSubscriber
from triptych.consumers.watching.watch_descriptions import shown
from triptych.schemas.errors import UsageError
from triptych.schemas.names import descriptions_topic
from triptych.schemas.perception.description_codec import encode_description
from triptych.schemas.perception.descriptions import Description, DescriptionAnswer
from triptych.transport.errors import TopicMissingError
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Message
from triptych.transport.topic_settings import TopicSettings

MADE = [
    description_of(make_window(0, "a")),
    description_of(make_window(0, "b"), outcome="refused", title="", reason="no JSON"),
    description_of(make_window(1, "a")),
]


@pytest.fixture
def transport() -> MemoryTransport:
    """Three descriptions, one of them twice, and a record that is none."""
    made = MemoryTransport(partitions=1)
    made.admin().create([TopicSettings(descriptions_topic(PIPELINE), partitions=1, replication=1)])
    publisher = made.publisher()
    for one in (*MADE, MADE[0]):
        publisher.send(Message(descriptions_topic(PIPELINE), *encode_description(one, pipeline=PIPELINE))).result(5)
    publisher.send(Message(descriptions_topic(PIPELINE), b"a", b"junk", ())).result(5)
    return made


def read(transport: MemoryTransport, *args: str, **options: bool) -> list[Description]:
    """Return the descriptions up to the end."""
    with DescriptionSubscriber(transport) as subscriber:
        return list(subscriber.descriptions(*args, until_end=True, **options))


def test_each_description_comes_once(transport: MemoryTransport) -> None:
    """Windows that were refused only if they are asked for."""
    assert read(transport) == [MADE[0], MADE[2]]
    assert read(transport, all_outcomes=True) == MADE
    assert read(transport, "b") == []
    assert read(transport, "a", "now") == []


def test_a_live_subscription_ends_with_a_stop(transport: MemoryTransport) -> None:
    """And counts what is no description."""
    with DescriptionSubscriber(transport) as subscriber:
        found = subscriber.descriptions()
        assert next(found) == MADE[0]
        assert next(found) == MADE[2]
        subscriber.stop()
        assert list(found) == []
        assert subscriber.malformed == 1


def test_mistakes_are_errors_that_say_what_to_do(transport: MemoryTransport) -> None:
    """A cursor of results, and a topic that does not exist."""
    with pytest.raises(UsageError, match="cursors belong to results"):
        read(transport, "a", "kafka.WyJ0cmlwdHljaCIse31d")
    with pytest.raises(TopicMissingError, match=r"triptych\.descriptions"):
        list(DescriptionSubscriber(MemoryTransport()).descriptions(until_end=True))


def test_a_description_is_one_line_on_a_terminal() -> None:
    """With the answers after it."""
    answers = (
        DescriptionAnswer(question="How many?", answer="two"),
        DescriptionAnswer(question="?", answer="no", prompt="fire"),
    )
    text = shown(description_of(make_window(0), what_happens="Cars\npass.", answers=answers))
    assert text == "2026-01-01 00:00:00 city A street: Cars pass. | How many?: two | fire: no"
