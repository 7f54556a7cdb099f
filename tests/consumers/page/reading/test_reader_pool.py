"""Readers that are used again: bounded in number, apart from each other, and no burden while nobody uses them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from triptych.consumers.page.reading import reader_pool
from triptych.consumers.page.reading.reader_pool import PooledTransport, ReadersBusyError
from triptych.consumers.subscription.log_reading import read_range
from triptych.schemas.names import INPUT_TOPICS, VIDEO_TOPIC, results_topic
from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.protocols import Reader
from triptych.transport.records import Message, OutOfRangePolicy, TopicPartition
from triptych.transport.topic_settings import TopicSettings

FIRST, SECOND = TopicPartition(VIDEO_TOPIC, 0), TopicPartition(VIDEO_TOPIC, 1)


class CountingTransport(MemoryTransport):
    """Counts the readers that were opened."""

    opened = 0

    def reader(
        self, start: Mapping[TopicPartition, int], *, when_out_of_range: OutOfRangePolicy = "earliest"
    ) -> Reader:  # type: ignore[override]  # the pool takes any
        """Open a reader."""
        self.opened += 1
        return super().reader(start, when_out_of_range=when_out_of_range)


@pytest.fixture
def transport() -> CountingTransport:
    """Two partitions with ten records each."""
    made = CountingTransport(partitions=2, max_bytes=2_000)
    names = (*INPUT_TOPICS, results_topic("triptych"))
    made.admin().create([TopicSettings(name, partitions=2, replication=1) for name in names])
    publisher = made.publisher()
    for number in range(20):
        publisher.send(Message(VIDEO_TOPIC, b"k", f"{number}".encode(), partition=number % 2)).result(5)
    return made


def values(transport: PooledTransport, tp: TopicPartition, first: int, last: int) -> list[bytes]:
    """Read a range."""
    return [record.value for record in read_range(transport, {tp: (first, last)})]


def test_one_reader_reads_one_range_after_the_other(transport: CountingTransport) -> None:
    """Each exactly, also after a read that was broken off."""
    pool = PooledTransport(transport, "triptych", most=2)
    for _ in range(3):
        assert values(pool, FIRST, 3, 5) == [b"6", b"8", b"10"]
        assert values(pool, SECOND, 0, 0) == [b"1"]
        broken_off = read_range(pool, {FIRST: (0, 9)})
        assert next(iter(broken_off)).value == b"0"
        broken_off.close()  # type: ignore[attr-defined]  # a generator
    assert transport.opened == 1
    pool.close()


def test_readers_at_the_same_time_do_not_disturb_each_other(transport: CountingTransport) -> None:
    """And beyond the limit one waits."""
    pool = PooledTransport(transport, "triptych", most=2)
    one, two = pool.reader({FIRST: 1}), pool.reader({FIRST: 4, SECOND: 4})
    assert {record.tp for record in two.poll(0).records} == {FIRST, SECOND}
    assert [record.offset for record in one.poll(0).records] == list(range(1, 10))
    assert transport.opened == 2
    two.close()
    assert pool.reader({SECOND: 9}).poll(0).records[0].value == b"19"
    assert transport.opened == 2


def test_a_reader_is_waited_for_and_then_given_up(
    transport: CountingTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that requests cannot pile up."""
    monkeypatch.setattr(reader_pool, "_BUSY_S", 0.01)
    pool = PooledTransport(transport, "triptych", most=1)
    held = pool.reader({FIRST: 0})
    with pytest.raises(ReadersBusyError):
        pool.reader({FIRST: 0})
    held.close()
    held.close()
    pool.reader({FIRST: 0}).close()


def test_a_reader_that_failed_is_not_used_again(transport: CountingTransport) -> None:
    """Its connection may be broken."""
    pool = PooledTransport(transport, "triptych", most=1)
    failing = pool.reader({FIRST: 0})
    with pytest.raises(ValueError, match="not assigned"):
        failing.seek(TopicPartition("other", 0), 0)
    failing.close()
    assert values(pool, FIRST, 0, 0) == [b"0"]
    assert transport.opened == 2


@pytest.mark.parametrize("step", ["seek", "resume", "pause"])
def test_a_reader_that_cannot_be_lent_or_taken_back_is_closed(
    transport: CountingTransport, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """It would hold its connection for ever, and its place in the pool."""
    pool = PooledTransport(transport, "triptych", most=1)
    pool.reader({FIRST: 0}).close()
    [shared] = pool._idle  # noqa: SLF001 - the reader that is lent next
    closed: list[str] = []

    def fail(*_: object) -> None:
        raise BrokerUnavailableError(step)

    monkeypatch.setattr(shared.reader, step, fail)
    monkeypatch.setattr(shared.reader, "close", lambda: closed.append(step))
    with pytest.raises(BrokerUnavailableError):
        pool.reader({FIRST: 0}).close()
    assert closed == [step]
    assert values(pool, FIRST, 0, 0) == [b"0"]
    assert transport.opened == 2


def test_a_new_reader_that_cannot_be_paused_is_closed(
    transport: CountingTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in no list yet."""
    pool = PooledTransport(transport, "triptych", most=1)
    reader, closed = transport.reader({FIRST: 0}), list[str]()

    def fail(*_: object) -> None:
        raise BrokerUnavailableError("pause")

    monkeypatch.setattr(reader, "pause", fail)
    monkeypatch.setattr(reader, "close", lambda: closed.append("closed"))
    monkeypatch.setattr(transport, "reader", lambda _: reader)
    with pytest.raises(BrokerUnavailableError):
        pool.reader({FIRST: 0})
    assert closed == ["closed"]


def test_an_idle_reader_holds_no_records_back(transport: CountingTransport) -> None:
    """The in-memory broker keeps what a reader has not read: the demo plays for hours."""
    pool = PooledTransport(transport, "triptych", most=1)
    values(pool, FIRST, 0, 0)
    publisher = transport.publisher()
    for _ in range(500):
        publisher.send(Message(VIDEO_TOPIC, b"k", b"x" * 100, partition=0)).result(5)


def test_a_topic_that_has_grown_is_read(transport: CountingTransport) -> None:
    """By a new reader."""
    pool = PooledTransport(transport, "triptych", most=1)
    values(pool, FIRST, 0, 0)
    transport.add_partitions(VIDEO_TOPIC, 3)
    transport.publisher().send(Message(VIDEO_TOPIC, b"k", b"new", partition=2)).result(5)
    assert values(pool, TopicPartition(VIDEO_TOPIC, 2), 0, 0) == [b"new"]
