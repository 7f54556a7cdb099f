"""Reading the prompts of a pipeline from its topic."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest
from structlog.testing import capture_logs

from tests.worker.matching.prompt_texts import S, WordSpace, change
from triptych.models.spaces.text_space import TextSpaces
from triptych.schemas.names import prompts_topic
from triptych.schemas.perception.prompt_codec import encode_prompt_change
from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.memory.reader import MemoryReader
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Message
from triptych.transport.topic_settings import TopicSettings
from triptych.worker.matching.prompt_reader import OpenTextSpaces, PromptReader

TOPIC = prompts_topic("triptych")
MARGIN_NS = S // 10


class Place:
    """A broker with prompts, and the reader of a worker."""

    def __init__(self) -> None:
        self.transport = MemoryTransport()
        self.now_ns = 1_000_000 * S
        self.space = WordSpace()
        self.reader = self.new_reader()

    def new_reader(self, open_spaces: OpenTextSpaces | None = None, labels: Sequence[str] = ()) -> PromptReader:
        """Return a reader with a delay of five seconds."""
        return PromptReader(
            self.transport,
            TOPIC,
            open_spaces or (lambda: TextSpaces(self.space)),
            delay_ns=5 * S,
            clock_margin_ns=MARGIN_NS,
            labels=labels,
            wall_ns=lambda: self.now_ns,
        )

    def create(self) -> None:
        """Create the topic."""
        self.transport.admin().create([TopicSettings(TOPIC, 1, cleanup_policy="compact")])

    def send(self, name: str, text: str | None) -> None:
        """Set or remove a prompt."""
        wire = encode_prompt_change(change(name, text, at_s=len(name)).change, pipeline="triptych", moment_ns=S)
        publisher = self.transport.publisher()
        publisher.send(Message(TOPIC, wire.key, wire.value, wire.headers)).result(timeout=5)
        publisher.close(5)

    def names(self) -> list[str]:
        """Return the names of the prompts in effect long after everything that was sent."""
        return [prompt.name for prompt in self.reader.in_effect("city", 10**18 * 9).prompts]


@pytest.fixture
def place() -> Iterator[Place]:
    """A broker without the topic."""
    made = Place()
    yield made
    made.reader.close()
    made.transport.close()


def test_what_was_appended_is_known_and_embedded_once(place: Place) -> None:
    """Up to the moment of asking, less the margin of the clocks, plus the delay."""
    place.create()
    place.send("fire", "fire")
    place.reader.read_once()
    place.send("dogs", "dog")
    place.reader.read_once()

    assert place.names() == ["dogs", "fire"]
    assert place.space.embedded == ["fire", "dog"]
    limit_ns = place.now_ns - MARGIN_NS + 5 * S
    assert place.reader.is_known(limit_ns - 1)
    assert not place.reader.is_known(limit_ns)


def test_a_topic_that_is_created_later_is_found(place: Place) -> None:
    """Until then there are no prompts, and that is known."""
    place.reader.read_once()
    assert place.names() == []
    assert place.reader.is_known(place.now_ns)

    place.create()
    place.send("fire", "fire")
    place.reader.read_once()
    assert place.names() == ["fire"]


def test_nothing_more_is_known_while_the_broker_is_away(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """And afterwards everything, without a record lost or read twice."""
    place.create()
    place.send("fire", "fire")
    place.reader.read_once()
    known_ns = place.now_ns

    def away(*_: object) -> None:
        raise BrokerUnavailableError("no broker answers")

    place.now_ns += 60 * S
    place.send("fire", None)
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(MemoryReader, "end_offsets", away)
        assert not place.reader.read_once()
    assert [entry["event"] for entry in logs] == ["prompts_not_read"]
    assert not place.reader.is_known(known_ns + 6 * S)
    assert place.names() == ["fire"]

    assert place.reader.read_once()
    assert place.reader.is_known(place.now_ns)
    assert place.names() == []


def test_a_topic_that_was_created_again_is_read_from_its_beginning(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its prompts alone count."""
    place.create()
    place.send("fire", "fire")
    place.send("dogs", "dog")
    place.reader.read_once()
    assert place.names() == ["dogs", "fire"]

    end_offsets = MemoryReader.end_offsets
    with (
        monkeypatch.context() as patch
    ):  # in place of a new topic, which the memory transport cannot make: a shorter one
        patch.setattr(MemoryReader, "end_offsets", lambda reader, tps: dict.fromkeys(end_offsets(reader, tps), 1))
        with capture_logs() as logs:
            place.reader.read_once()
    assert "prompts_topic_recreated" in [entry["event"] for entry in logs]
    assert "fire" in place.names()


def test_a_record_that_is_no_change_is_skipped_and_logged(place: Place) -> None:
    """One bad record does not stop the others."""
    place.create()
    publisher = place.transport.publisher()
    publisher.send(Message(TOPIC, b"fire/1", b"{}")).result(timeout=5)
    publisher.close(5)
    place.send("fire", "fire")
    with capture_logs() as logs:
        place.reader.read_once()

    assert place.names() == ["fire"]
    assert [entry["offset"] for entry in logs if entry["event"] == "prompt_unreadable"] == [0]


def test_prompts_without_a_space_are_compared_with_detections_only(place: Place) -> None:
    """The log says so."""
    place.create()
    place.send("fire", "fire")
    reader = place.new_reader(open_spaces=TextSpaces)
    with capture_logs() as logs:
        reader.read_once()
    (prompt,) = reader.in_effect("city", 10**18 * 9).prompts
    assert prompt.direction is None
    assert "prompt_texts_not_embedded" in [entry["event"] for entry in logs]
    reader.close()


def test_texts_are_embedded_in_each_space_and_labels_beside_them(place: Place) -> None:
    """Each text once in each space; a change later adds what is new."""
    sounds, labels = WordSpace("sounds-1"), WordSpace("semantic-1")
    reader = place.new_reader(
        open_spaces=lambda: TextSpaces(place.space, sounds, labels), labels=("dog", "rain", "car")
    )
    place.create()
    place.send("dogs", "street dog dog")
    reader.read_once()
    place.send("fire", "fire")
    reader.read_once()

    assert place.space.embedded == sounds.embedded == ["street dog dog", "fire"]
    assert labels.embedded == ["car", "dog", "rain", "street dog dog", "fire"]
    dogs, fire = reader.in_effect("city", 10**18 * 9).prompts
    assert (dogs.labels, fire.labels) == ({"dog"}, frozenset())
    assert [each.space for each in (dogs.direction, dogs.sound_direction) if each] == ["words-1", "sounds-1"]
    reader.close()


def test_the_thread_reads_by_itself_and_at_once_when_it_is_waited_for(place: Place) -> None:
    """An error that is no outage ends it, and reaches whoever waits."""
    place.create()
    place.reader.start()
    place.send("fire", "fire")
    waiting = threading.Event()
    for _ in range(6_000):
        if place.names():
            break
        place.reader.is_known(10**18 * 9)  # asks at once
        waiting.wait(0.01)
    assert place.names() == ["fire"]

    def broken() -> TextSpaces:
        raise ValueError("a bug")

    failing = place.new_reader(open_spaces=broken)
    failing.start()

    def wait() -> None:
        for _ in range(6_000):
            failing.is_known(10**18 * 9)
            waiting.wait(0.01)

    with pytest.raises(ValueError, match="a bug"):
        wait()
    failing.close()
