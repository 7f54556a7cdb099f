"""Results in the order of their publication, over all partitions."""

from __future__ import annotations

import time

import pytest

from triptych.transport.errors import BrokerUnavailableError, TopicMissingError
from triptych.transport.memory.reader import MemoryReader
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Message, Poll
from triptych.transport.topic_settings import TopicSettings
from triptych.worker.rebuilding.result_log import results_in_order


class Clock:
    """Gives each record a later time."""

    now_ns = 0

    def __call__(self) -> int:
        """Return the next time."""
        self.now_ns += 1
        return self.now_ns


def filled(places: list[int]) -> MemoryTransport:
    """Return a transport with numbered records, the nth of them on the nth of these partitions."""
    transport = MemoryTransport(clock_ns=Clock())
    transport.admin().create([TopicSettings("city.results", 3)])
    publisher = transport.publisher()
    for number, partition in enumerate(places):
        publisher.send(Message("city.results", b"city", b"%d" % number, (), partition)).result(1)
    return transport


def values(transport: MemoryTransport, since_ns: int = 0) -> list[int]:
    """Return the numbers in the order in which they are read."""
    seen: list[tuple[int, int]] = []
    records = results_in_order(
        transport, "city", since_ns=since_ns, progress=lambda done, total: seen.append((done, total))
    )
    found = [int(record.value) for record in records]
    assert seen[-1] == (len(found), len(found))
    return found


def test_partitions_are_merged_by_arrival() -> None:
    """A stream has results on two partitions after a growth, the later ones perhaps on the lower one."""
    places = [2] * 50 + [0] * 50 + [1, 0, 2] * 20
    assert values(filled(places)) == list(range(len(places)))


def test_many_records_of_one_partition_do_not_block_the_others() -> None:
    """A partition that is ahead is paused, and read on later."""
    places = [0] + [1] * 5_000 + [0] * 3
    assert values(filled(places)) == list(range(len(places)))


def test_a_start_in_time() -> None:
    """Records that came before it are not read."""
    assert values(filled([0, 1, 2, 0, 1, 2]), since_ns=4) == [3, 4, 5]


def test_without_results() -> None:
    """An empty topic has none; a missing one is an error that names it."""
    assert values(filled([])) == []
    transport = MemoryTransport()
    transport.admin().partition_count = lambda _topic: None  # type: ignore[method-assign]
    with pytest.raises(TopicMissingError, match=r"nowhere\.results"):
        list(results_in_order(transport, "nowhere", since_ns=0, progress=lambda _done, _total: None))


class SlowTime:
    """A monotonic clock that moves as the reader and the caller take time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, empty_polls: int) -> None:
        """Before each poll with a record come some empty ones, of a second each."""
        self.now_s = 0.0
        self.empty_polls = self.left = empty_polls
        self.poll = MemoryReader.poll
        monkeypatch.setattr(time, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(MemoryReader, "poll", lambda reader, _timeout_s: self.polled(reader))

    def polled(self, reader: MemoryReader) -> Poll:
        """Wait for a second, or return one record."""
        if self.left:
            self.left -= 1
            self.now_s += 1
            return Poll()
        self.left = self.empty_polls
        records = self.poll(reader, 0).records
        for record in reversed(records[1:]):
            reader.seek(record.tp, record.offset)
        return Poll(records=records[:1])


def test_a_slow_store_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis may take minutes for a batch, and a poll after it may be empty. Only waiting for records counts."""
    transport = filled([0] * 3 + [1] * 3)
    slow = SlowTime(monkeypatch, empty_polls=20)
    found = 0
    for _ in results_in_order(transport, "city", since_ns=0, progress=lambda _done, _total: None):
        slow.now_s += 600
        found += 1
    assert found == 6


def test_silence_ends_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 30 s without a record."""
    transport = filled([0, 1])
    slow = SlowTime(monkeypatch, empty_polls=40)
    with pytest.raises(BrokerUnavailableError, match=r"no record came for 30 s"):
        list(results_in_order(transport, "city", since_ns=0, progress=lambda _done, _total: None))
    assert slow.now_s == 30
