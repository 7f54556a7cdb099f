"""Following a results topic that grows and is created again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.consumers.conftest import PARTITIONS, MakeResult, TopicBench
from triptych.consumers.page.reading.result_follower import ResultFollower
from triptych.consumers.page.state.feed_state import ReadResult
from triptych.consumers.subscription import topic_changes
from triptych.schemas.partition import partition_of
from triptych.transport.memory.transport import MemoryTransport


class ReceivedResults:
    """Keeps what a follower hands over."""

    def __init__(self) -> None:
        self.epochs: list[str] = []
        self.windows: list[str] = []

    def begin(self, epoch: str, begins: dict[int, int]) -> None:
        """Begin with another topic."""
        assert set(begins.values()) <= {0}
        self.epochs.append(epoch)

    def add_results(self, read: Sequence[ReadResult]) -> None:
        """Take results."""
        self.windows += [one.result.window for one in read]

    def count(self, name: str, number: int) -> None:
        """Take a count."""

    def caught_up(self) -> None:
        """Take notice."""


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait until something is true."""
    deadline_s = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_a_topic_that_grows_or_is_created_again_is_followed(
    make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With another epoch only if it is another topic, though that one has grown beyond the positions."""
    monkeypatch.setattr(topic_changes, "INTERVAL_S", 0.05)
    memory = MemoryTransport(partitions=PARTITIONS)
    topic = TopicBench(memory, "kafka")
    moving = next(name for name in map(str, range(99)) if partition_of(name.encode(), PARTITIONS + 2) >= PARTITIONS)
    received, stop = ReceivedResults(), threading.Event()
    follower = ResultFollower(memory, topic.pipeline, received)
    made = [make_result(number, moving) for number in range(60)]
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(follower.run, None, stop)
        try:
            topic.publish(*made[:5])
            wait_for(lambda: len(received.windows) == 5)
            topic.grow(PARTITIONS + 2)
            topic.publish(*made[5:10])
            wait_for(lambda: len(received.windows) == 10)
            assert len(received.epochs) == 1
            topic.recreate()
            topic.publish(*made[10:])
            wait_for(lambda: len(set(received.windows)) == 60)
        finally:
            stop.set()
            running.result(60)
    assert len(received.windows) == 60
    assert len(set(received.epochs)) == len(received.epochs) > 1
    topic.close()
