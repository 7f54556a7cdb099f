"""A results topic that is created again or grows, while it is read and between two runs: in memory and on Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice

import pytest
from structlog.testing import capture_logs

from tests.consumers.conftest import PARTITIONS, MakeResult, TopicBench
from triptych.consumers.subscription import topic_changes
from triptych.consumers.subscription.cursor import TOPIC_PLACE, Cursor, parse_since
from triptych.consumers.subscription.result_source import Gap
from triptych.consumers.subscription.subscriber import Results
from triptych.consumers.subscription.topic_changes import TopicChangeDetector, was_recreated
from triptych.schemas.names import results_topic
from triptych.schemas.partition import partition_of
from triptych.schemas.results import Result
from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.memory.transport import MemoryAdmin, MemoryTransport
from triptych.transport.topic_settings import TopicIdentity

LIMIT_S = 60


@pytest.fixture(params=["memory", "kafka"])
def topic(request: pytest.FixtureRequest) -> TopicBench:
    """Return an empty results topic."""
    found: TopicBench = request.getfixturevalue(f"{request.param}_bench")
    return found


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_changes, "INTERVAL_S", 0.05)


def take_until(results: Results, holds: Callable[[list[Result]], bool]) -> list[Result]:
    """Take results until something holds for them."""
    taken: list[Result] = []
    deadline_s = time.monotonic() + LIMIT_S
    while not holds(taken):
        assert time.monotonic() < deadline_s, f"{len(taken)} results came"
        delivery = results.take()
        if delivery is not None:
            taken.append(delivery.result)
        else:
            results.fetch()
    return taken


def cursor_after_all(topic: TopicBench) -> Cursor:
    """Return the cursor after everything that exists."""
    with topic.subscriber() as subscriber:
        results = subscriber.results(until_end=True)
        list(results)
        return results.cursor


def test_a_cursor_of_a_topic_that_was_created_again_begins_with_the_new_one(
    topic: TopicBench, make_result: MakeResult
) -> None:
    """The new topic has more results than the old one: the old offsets exist in it."""
    topic.publish(*(make_result(number) for number in range(5)))
    cursor = cursor_after_all(topic)
    topic.recreate()
    new = [make_result(number) for number in range(100, 120)]
    topic.publish(*new)
    gaps: list[Gap] = []
    with capture_logs() as logs, topic.subscriber(gaps.append) as subscriber:
        results = subscriber.results(since=str(cursor), until_end=True)
        assert list(results) == new
        assert subscriber.counts.gaps == 1
        continued = parse_since(str(results.cursor))
    assert [(gap.place, gap.missed, gap.cause) for gap in gaps] == [(TOPIC_PLACE, None, "recreated")]
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["results_topic_recreated"]
    assert isinstance(continued, Cursor)
    assert continued.topic_id not in ("", cursor.topic_id)
    topic.publish(make_result(120))
    with topic.subscriber() as subscriber:
        assert list(subscriber.results(since=continued, until_end=True)) == [make_result(120)]


def test_an_older_cursor_without_an_id_stays_usable(topic: TopicBench, make_result: MakeResult) -> None:
    """Earlier releases did not write it. Where the log ends before the offset, it says that the log was cut."""
    topic.publish(*(make_result(number) for number in range(5)))
    found = cursor_after_all(topic)
    older = Cursor(found.kind, found.pipeline, found.positions)
    assert parse_since(str(older)) == older
    topic.publish(make_result(5))
    with topic.subscriber() as subscriber:
        assert list(subscriber.results(since=older, until_end=True)) == [make_result(5)]
    topic.recreate()
    topic.publish(make_result(6))
    gaps: list[Gap] = []
    with capture_logs() as logs, topic.subscriber(gaps.append) as subscriber:
        assert next(subscriber.results(since=older)) == make_result(6)
    assert [gap.cause for gap in gaps] == ["truncated"]
    (line,) = (line for line in logs if line["event"] == "results_missed")
    assert "truncated" in line["hint"]
    assert "retention" not in line["hint"]


def test_a_topic_that_is_created_again_while_it_is_read_is_read_from_its_beginning(
    topic: TopicBench, make_result: MakeResult
) -> None:
    """Though nobody fetched between: the new topic has grown beyond the position."""
    topic.publish(*(make_result(number) for number in range(5)))
    new = [make_result(number) for number in range(100, 120)]
    with capture_logs() as logs, topic.subscriber() as subscriber:
        results = subscriber.results()
        assert len(list(islice(results, 5))) == 5
        before = results.cursor
        topic.recreate()
        topic.publish(*new)
        taken = take_until(results, lambda taken: {result.id for result in taken} >= {result.id for result in new})
        assert len(taken) == len(new)  # those after the old position came first, and were dropped when they came again
        take_until(results, lambda _: results.cursor.topic_id != before.topic_id)
        assert take_until(results, lambda _: set(results.cursor.positions.values()) == {"0", str(len(new))}) == []
    assert "results_topic_recreated" in {line["event"] for line in logs}


def test_the_id_of_a_cursor_changes_only_with_its_positions(memory_bench: TopicBench, make_result: MakeResult) -> None:
    """Whoever continues at any of these cursors gets every result of the new topic."""
    topic = memory_bench
    streams = ("a", "b", "c", "d")
    topic.publish(*(make_result(number, stream) for number in range(3) for stream in streams))
    new = {made.id for made in (make_result(number, stream) for number in range(50, 60) for stream in streams)}
    with topic.subscriber() as subscriber:
        results = subscriber.results()
        list(islice(results, 6))  # others are fetched, and not taken yet
        topic.recreate()
        topic.publish(*(make_result(number, stream) for number in range(50, 60) for stream in streams))
        taken: list[Result] = []
        while not {result.id for result in taken} >= new:
            with topic.subscriber() as other:
                rest = {result.id for result in other.results(since=results.cursor, until_end=True)}
            assert rest | {result.id for result in taken} >= new
            taken += [] if (delivery := results.take()) is None else [delivery.result]
            if delivery is None:
                results.fetch()


def test_a_pass_with_an_end_is_over_when_its_topic_is_created_again(topic: TopicBench, make_result: MakeResult) -> None:
    """What was before the end is gone. It does not wait for as many results as there were."""
    topic.publish(*(make_result(number) for number in range(5)))
    with topic.subscriber() as subscriber:
        results = subscriber.results(until_end=True)
        topic.recreate()
        taken = list(results)
        assert len(taken) <= 5


@pytest.mark.parametrize("stream", [None, "moves"])
def test_new_partitions_are_read_while_the_topic_grows(
    topic: TopicBench, make_result: MakeResult, stream: str | None
) -> None:
    """Each stream goes on in its partition of now, and what was in the old one is read too."""
    moving = next(name for name in map(str, range(99)) if partition_of(name.encode(), PARTITIONS + 2) >= PARTITIONS)
    topic.publish(make_result(0, moving))
    with topic.subscriber() as subscriber:
        results = subscriber.results(moving if stream else None)
        assert next(results) == make_result(0, moving)
        topic.grow(PARTITIONS + 2)
        topic.publish(make_result(1, moving))
        assert next(results) == make_result(1, moving)
        cursor = results.cursor
        topic.publish(make_result(2, moving))
        assert next(results) == make_result(2, moving)
    with topic.subscriber() as subscriber:
        assert list(subscriber.results(since=cursor, until_end=True)) == [make_result(2, moving)]


def test_fewer_partitions_leave_no_positions_of_the_old_topic(topic: TopicBench, make_result: MakeResult) -> None:
    """When the new topic grows, its partitions begin at 0 again."""
    name = next(name for name in map(str, range(99)) if partition_of(name.encode(), PARTITIONS) == PARTITIONS - 1)
    topic.publish(make_result(0, name))
    with topic.subscriber() as subscriber:
        results = subscriber.results()
        assert next(results) == make_result(0, name)
        before = results.cursor
        if topic.bootstrap:
            topic.recreate(1)
        else:
            topic.recreate()
        take_until(results, lambda _: results.cursor.topic_id != before.topic_id)
        assert set(results.cursor.positions.values()) == {"0"}


def test_a_broker_that_does_not_answer_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And when it answers again."""
    transport = MemoryTransport()
    name = results_topic("city")
    transport.add_partitions(name, 6)
    identity = transport.admin().identify([name])[name]
    identify = MemoryAdmin.identify
    asked: list[bool] = []
    is_away = True

    def answer(admin: MemoryAdmin, names: list[str]) -> dict[str, TopicIdentity]:
        asked.append(is_away)
        if is_away:
            raise BrokerUnavailableError("no broker answered")
        return identify(admin, names)

    monkeypatch.setattr(MemoryAdmin, "identify", answer)
    with capture_logs() as logs:
        detector = TopicChangeDetector(transport, name, identity)
        wait_for(lambda: asked.count(True) >= 3)
        is_away = False
        wait_for(lambda: asked.count(False) >= 3)
        transport.recreate(name)
        wait_for(lambda: detector.changed() is not None)
        detector.close()
    found = [(line["event"], line.get("reason")) for line in logs]
    assert found == [("topic_unavailable", "no broker answered"), ("topic_available", None)]


def test_brokers_without_ids_have_no_other_topics() -> None:
    """An id that is not known tells nothing."""
    assert was_recreated("a", "b")
    assert not any([was_recreated("", "b"), was_recreated("a", ""), was_recreated("a", "a")])


def wait_for(holds: Callable[[], bool]) -> None:
    """Wait until something is true."""
    deadline_s = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
