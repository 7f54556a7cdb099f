"""At-least-once delivery: order, and messages that the broker rejects."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from tests.worker.world import Feed, World
from triptych.schemas.names import results_topic
from triptych.transport.errors import MessageRejectedError
from triptych.transport.protocols import Publisher
from triptych.transport.records import Delivered, Message
from triptych.worker.observability.events import RetryScheduled
from triptych.worker.publishing import retry

SECONDS = 4


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
