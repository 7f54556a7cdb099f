"""Results that the broker rejects: truncated, dead-lettered or sent again."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from tests.worker.world import Feed, World
from triptych.schemas.codec import parse_result
from triptych.schemas.names import TOPIC_OF, results_topic
from triptych.schemas.reasons import DeadReason
from triptych.schemas.records import InputRecord
from triptych.settings.loading import load
from triptych.transport.errors import MessageRejectedError
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.protocols import Publisher
from triptych.transport.records import Delivered, Message
from triptych.worker.observability.events import RetryScheduled
from triptych.worker.publishing import retry

LIMIT = 20_000
CUES = 60
SECONDS = 4


@pytest.fixture(params=["at_least_once", "exactly_once"])
def small(world: World, request: pytest.FixtureRequest) -> World:
    """A world with a low limit for records, in each delivery mode."""
    world.transport = MemoryTransport(max_record_bytes=LIMIT)
    world.settings = load(overrides={"model.name": "null", "delivery": request.param}, environ={})
    return world


def talkative(feed: Feed, length: int) -> Iterator[InputRecord]:
    """Return a film with `CUES` cues of some length in its first window."""
    for number in range(CUES):
        yield feed.cue(number / CUES, 1, "x" * length, (number + 1) / CUES)
    yield feed.progress("subtitles", SECONDS, SECONDS)
    for quarter in range(4 * SECONDS):
        yield feed.frame(quarter / 4)
    yield feed.end("subtitles", SECONDS)
    yield feed.end("video", SECONDS)


def test_long_words_are_truncated_if_the_result_is_too_large(small: World) -> None:
    """The subtitles topic still holds them whole: nothing is dead-lettered."""
    feed = Feed("city", tracks=("video", "subtitles"))
    small.send([feed.cue(0, 1, "x" * (LIMIT - 1_000), 4), *talkative(feed, 1)])

    small.work()

    first, _ = small.results()
    assert [len(word.text) for word in first.observations.words] == [500, *[1] * CUES]
    assert small.letters() == []


def test_words_that_do_not_fit_truncated_are_left_out_and_dead_lettered(small: World) -> None:
    """The window is published in its place. The dead letter names its first cue."""
    small.send(talkative(Feed("city", tracks=("video", "subtitles")), 490))

    small.work()

    first, second = small.results()
    assert first.observations.words == ()
    assert first.modalities.subtitles.items == CUES
    assert first.start_ns < second.start_ns
    (letter,) = small.letters()
    assert (letter.topic, letter.code, letter.whole) == (TOPIC_OF["subtitles"], DeadReason.TOO_LARGE, False)
    assert first.modalities.subtitles.offsets is not None
    assert (letter.partition, letter.offset) == (
        first.modalities.subtitles.partition,
        first.modalities.subtitles.offsets[0],
    )
    assert first.id in letter.reason
    assert str(LIMIT) in letter.reason
    assert [parse_result(document) for document in small.store.results("city")] == [first, second]


class RejectingPublisher:
    """A publisher whose broker rejects the first result several times."""

    def __init__(self, inner: Publisher, times: int) -> None:
        self._inner = inner
        self._times = times
        self._seen: dict[bytes, int] = {}

    def send(self, message: Message) -> Future[Delivered]:
        """Reject the first result; send all others."""
        if message.topic == results_topic("triptych"):
            seen = self._seen.setdefault(message.value, 0)
            first = next(iter(self._seen))
            if message.value == first and seen < self._times:
                self._seen[message.value] += 1
                rejected: Future[Delivered] = Future()
                rejected.set_exception(MessageRejectedError("the broker's policy does not allow it"))
                return rejected
        return self._inner.send(message)

    def flush(self, timeout_s: float) -> None:
        """Flush."""
        self._inner.flush(timeout_s)

    def close(self, timeout_s: float) -> None:
        """Close."""
        self._inner.close(timeout_s)


def test_a_rejected_result_is_sent_again_until_the_broker_accepts_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later results of its stream are sent again: the last one on the topic must be the newest, with its state."""
    monkeypatch.setattr(retry, "_FIRST_DELAY_S", 0.001)
    make = world.transport.publisher
    monkeypatch.setattr(world.transport, "publisher", lambda: RejectingPublisher(make(), 3))
    world.send(Feed("city").play(SECONDS))

    world.work()

    ids = [result.id for result in world.results()]
    assert ids[-2:] == sorted(set(ids))
    assert len(world.store.results("city")) == 2
    assert [event.attempt for event in world.seen(RetryScheduled)] == [1, 2]
    assert "policy" in world.seen(RetryScheduled)[0].error
