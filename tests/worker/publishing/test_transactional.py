"""Exactly-once delivery: however a transaction ends, each result is published once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.worker.world import SECOND, T0, Feed, World
from triptych.schemas.names import INPUT_TOPICS, consumer_group, results_topic
from triptych.schemas.records import SubtitleCue
from triptych.schemas.results import Result
from triptych.settings.loading import load
from triptych.transport.errors import (
    BrokerUnavailableError,
    CommitRefusedError,
    OutcomeUnknownError,
    TransportError,
)
from triptych.transport.memory.group_consumer import MemoryGroupConsumer
from triptych.transport.memory.transport import MemoryTransactions
from triptych.transport.records import GroupOffsets, Message, TopicPartition
from triptych.transport.topic_settings import TopicSettings
from triptych.worker.observability.events import PartitionRestarted, RetryScheduled

MakeFeed = Callable[..., Feed]
VARYING = {"published_ns", "arrival_ms", "stage_ms"}


@pytest.fixture
def exact(world: World) -> World:
    """A world whose workers use transactions, in batches of two windows."""
    world.settings = load(
        overrides={
            "model.name": "null",
            "batch.max_delay_ms": 0,
            "batch.max_windows": 2,
            "delivery": "exactly_once",
        },
        environ={},
    )
    return world


class TransactionOutcomes:
    """Scripted outcomes of transactions. After the last one, all succeed. Records the committed ones."""

    def __init__(self, ends: Sequence[tuple[type[TransportError], bool]]) -> None:
        """Take the errors to raise, each with whether the broker commits nevertheless."""
        self._ends: Iterator[tuple[type[TransportError], bool]] = iter(ends)
        self.published: list[tuple[Sequence[Message], GroupOffsets | None]] = []

    def publish(self, publisher: MemoryTransactions, messages: Sequence[Message], offsets: GroupOffsets | None) -> None:
        """Commit or not, and raise or not, according to the next outcome."""
        error, is_committed = next(self._ends, (None, True))
        if is_committed:
            _publish(publisher, messages, offsets)
            self.published.append((messages, offsets))
        if error is not None:
            raise error("scripted by the test")


_publish = MemoryTransactions.publish


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., TransactionOutcomes]:
    """Script the outcomes of transactions: `script((OutcomeUnknownError, True), …)`."""

    def make(*ends: tuple[type[TransportError], bool]) -> TransactionOutcomes:
        made = TransactionOutcomes(ends)

        def publish(publisher: MemoryTransactions, messages: Sequence[Message], offsets: GroupOffsets | None) -> None:
            made.publish(publisher, messages, offsets)

        monkeypatch.setattr(MemoryTransactions, "publish", publish)
        return made

    return make


def contents(results: Sequence[Result]) -> list[dict[str, object]]:
    """Return the contents of results without the fields that vary from run to run."""
    return sorted((result.model_dump(exclude=VARYING) for result in results), key=lambda document: str(document["id"]))


def undisturbed(feed: MakeFeed) -> list[dict[str, object]]:
    """Return the contents that an undisturbed worker publishes without transactions."""
    quiet = World()
    quiet.send([*feed("city").play(8), *feed("port", start_s=3).play(5)])
    quiet.work()
    return contents(quiet.results())


@pytest.mark.parametrize(
    "ends",
    [
        [],
        [(OutcomeUnknownError, True)],
        [(OutcomeUnknownError, False)],
        [(BrokerUnavailableError, False), (OutcomeUnknownError, True), (OutcomeUnknownError, False)],
        [(CommitRefusedError, False)],
        [(CommitRefusedError, False), (BrokerUnavailableError, False), (CommitRefusedError, False)],
    ],
    ids=str,
)
def test_each_window_is_published_once_whatever_the_outcome_of_transactions(
    exact: World,
    feed: MakeFeed,
    script: Callable[..., TransactionOutcomes],
    ends: Sequence[tuple[type[TransportError], bool]],
) -> None:
    """Committed, aborted, unknown, refused by the group: same contents as undisturbed, and a complete store."""
    script(*ends)
    exact.send([*feed("city").play(8), *feed("port", start_s=3).play(5)])

    exact.work()

    results = exact.results()
    assert contents(results) == undisturbed(feed)
    assert len({result.id for result in results}) == len(results)
    assert sum(len(exact.store.results(name)) for name in ("city", "port")) == len(results)
    again = sum(error is not BrokerUnavailableError for error, _ in ends)
    assert (len(exact.seen(PartitionRestarted)) > 0) == (again > 0)
    assert len(exact.seen(RetryScheduled)) == len(ends) - again


@pytest.mark.parametrize("turns", [1, 2, 3, 4, 5, 7, 9, 13])
def test_a_crash_after_any_step_changes_no_result(exact: World, feed: MakeFeed, turns: int) -> None:
    """As without transactions."""
    exact.send([*feed("city").play(8), *feed("port", start_s=3).play(5)])
    for _ in range(4):
        exact.work_some(turns)

    exact.work()

    assert contents(exact.results()) == undisturbed(feed)
    assert sum(len(exact.store.results(name)) for name in ("city", "port")) == len(exact.results())


def test_each_transaction_carries_the_group_member_and_offsets_of_published_work(
    exact: World, feed: MakeFeed, script: Callable[..., TransactionOutcomes]
) -> None:
    """So the broker fences a zombie. The offsets never exceed what earlier transactions published."""
    ends = script()
    for start_s in (0, 20, 40):  # batches that wait for the broker share a transaction; each run makes one at least
        exact.send(feed("city", start_s=start_s, session=f"s{start_s}").play(12))
        exact.work()

    home = exact.results_partition("city")
    stored = [offsets for _, offsets in ends.published]
    assert len(stored) >= 3
    for offsets in stored:
        assert offsets is not None
        assert offsets.member.group == consumer_group(exact.settings.pipeline)
        assert offsets.commits.keys() >= {TopicPartition(topic, home) for topic in INPUT_TOPICS}
    videos = [offsets.commits[TopicPartition(INPUT_TOPICS[0], home)].offset for offsets in stored if offsets]
    assert videos == sorted(videos)
    assert videos[0] == 0
    assert videos[-1] > 0


def test_a_result_that_is_too_large_does_not_affect_its_batch(exact: World, feed: MakeFeed) -> None:
    """Its words are truncated. All results of the batch are published in order."""
    exact.transport.admin().create([TopicSettings(results_topic(exact.settings.pipeline), 6, max_record_bytes=8_000)])
    city = feed("city")
    records = city.play(6)
    wordy = [r.model_copy(update={"text": "word " * 4_000}) if r.start_ns == T0 + 2 * SECOND else r for r in records]
    exact.send([w if isinstance(r, SubtitleCue) else r for r, w in zip(records, wordy, strict=True)])

    exact.work()

    results = exact.results()
    assert [len(result.observations.words[0].text) for result in results] == [10, 500, 10]
    assert [result.start_ns for result in results] == [T0, T0 + 2 * SECOND, T0 + 4 * SECOND]


def test_a_dead_letter_and_the_results_of_its_batch_are_one_transaction(
    exact: World, feed: MakeFeed, script: Callable[..., TransactionOutcomes]
) -> None:
    """If the outcome is unknown, neither or both are published, once."""
    script((OutcomeUnknownError, False), (OutcomeUnknownError, True))
    city = feed("city")
    records = city.play(4, ended=False)
    broken = records[-1].model_copy(update={"data": b"no picture"})
    exact.send([*records[:-1], broken, *(city.end(modality, 4) for modality in city.tracks)])

    exact.work()

    assert len(exact.results()) == 2
    assert len(exact.letters()) == 1


def test_a_stop_while_brokers_are_unavailable_publishes_nothing_partially(
    exact: World, feed: MakeFeed, script: Callable[..., TransactionOutcomes]
) -> None:
    """The worker gives up at its time limit. The next worker publishes everything once."""
    exact.settings = exact.settings.model_copy(
        update={"worker": exact.settings.worker.model_copy(update={"shutdown_limit_ms": 50})}
    )
    script(*[(BrokerUnavailableError, False)] * 3)
    exact.send(feed("city").play(6))
    stop = threading.Event()
    with exact.open() as pipeline:
        while not exact.seen(RetryScheduled):
            pipeline.step()
        stop.set()
        pipeline.run(stop)
    assert exact.read(results_topic(exact.settings.pipeline)) == []

    script()
    exact.work()

    assert len(exact.results()) == len({result.id for result in exact.results()}) == 3


def test_a_replaced_worker_publishes_nothing(exact: World, feed: MakeFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not check its membership, but the group refuses its transaction; then it joins again."""
    monkeypatch.setattr(MemoryGroupConsumer, "is_confirmed", lambda _: True)
    refused: list[CommitRefusedError] = []

    def publish(publisher: MemoryTransactions, messages: Sequence[Message], offsets: GroupOffsets | None) -> None:
        if not refused:
            exact.evict_members()
        try:
            _publish(publisher, messages, offsets)
        except CommitRefusedError as error:
            refused.append(error)
            raise

    monkeypatch.setattr(MemoryTransactions, "publish", publish)
    exact.send([*feed("city").play(8), *feed("port", start_s=3).play(5)])

    exact.work()

    assert refused
    assert contents(exact.results()) == undisturbed(feed)
