"""Tests specific to Kafka: killed brokers, retention, evicted members, rejected records, checksums in C."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import MemberToRemove
from kafka.errors import LogTruncationError
from kafka.record import util as kafka_checksum
from kafka.structs import OffsetAndMetadata

from tests.servers import require_librdkafka
from tools.devservers import DevKafka, KafkaOptions
from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import (
    BrokerUnavailableError,
    CommitRefusedError,
    MessageRejectedError,
    StopError,
    TopicMissingError,
)
from triptych.transport.kafka.log_ends import OWN_CONNECTION
from triptych.transport.kafka.rebalance import theirs
from triptych.transport.kafka.transport import KafkaTransport
from triptych.transport.open import open_transport
from triptych.transport.protocols import GroupConsumer, Publisher, Reader, Transport
from triptych.transport.records import Commit, Message, OffsetOutOfRange, TopicPartition
from triptych.transport.topic_settings import TopicSettings

DEADLINE_S = 60.0
UNREACHABLE = r"127\.0\.0\.1:1.*kafka\.security_protocol.*(ECONNREFUSED|Connection refused)"

T = TypeVar("T")
StartKafka = Callable[[KafkaOptions], DevKafka]


def to(broker: DevKafka, client: str) -> Transport:
    """Return a transport to a broker, with the shortest session timeout."""
    return open_transport(settings_of(broker, client, session_timeout_ms=6_000))


def settings_of(broker: DevKafka, client: str, **others: object) -> KafkaSettings:
    """Return the settings of a client."""
    given = {"client": client, "bootstrap_servers": broker.bootstrap_servers, **others}
    return KafkaSettings.model_validate(given)


@pytest.fixture
def transport(kafka: DevKafka, client: str) -> Iterator[Transport]:
    """A transport to the shared broker, by each client."""
    with closing(to(kafka, client)) as made:
        yield made


@pytest.fixture
def python_transport(kafka: DevKafka) -> Iterator[KafkaTransport]:
    """A transport of kafka-python to the shared broker."""
    with closing(KafkaTransport(settings_of(kafka, "kafka-python", session_timeout_ms=6_000))) as made:
        yield made


def new_topic(transport: Transport, partitions: int = 1, **configs: str) -> str:
    """Create a topic for the test."""
    name = f"kafka-{uuid.uuid4().hex[:12]}"
    with closing(transport.admin()) as admin:
        admin.create([TopicSettings(name, partitions)])
        if configs:
            admin.alter(name, {setting.replace("_", "."): value for setting, value in configs.items()})
    return name


def test_an_unavailable_broker_is_reported(client: str) -> None:
    """With the other cause that looks the same, the error of the last attempt, and its own exit code."""
    transport = open_transport(KafkaSettings.model_validate({"client": client, "bootstrap_servers": "127.0.0.1:1"}))
    before = threading.enumerate()

    with pytest.raises(BrokerUnavailableError, match=UNREACHABLE) as away:
        transport.admin()

    assert away.value.exit_code == 3
    wait_for(lambda: not [thread for thread in threading.enumerate() if thread not in before])


def test_the_checksum_in_c_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's fallback is silent and thousands of times slower."""
    KafkaTransport(KafkaSettings())

    monkeypatch.setattr(kafka_checksum, "crc32c_c", None)

    with pytest.raises(StopError, match="pip install crc32c"):
        KafkaTransport(KafkaSettings())


def test_a_missing_topic_is_reported(transport: Transport) -> None:
    """Reading it would return nothing forever."""
    with pytest.raises(TopicMissingError, match="nowhere"):
        transport.reader({TopicPartition("nowhere", 0): 0})
    with pytest.raises(TopicMissingError, match="nowhere"):
        transport.group_consumer([new_topic(transport), "nowhere"], "g")


def test_both_clients_identify_a_topic_alike(transport: Transport, python_transport: KafkaTransport) -> None:
    """Otherwise a program would take a topic for another one when it changes its client."""
    topic = new_topic(transport, 3)
    with closing(transport.admin()) as admin, closing(python_transport.admin()) as other:
        found = admin.identify([topic, "nowhere"])
        assert found == other.identify([topic, "nowhere"])

    assert found.keys() == {topic}
    assert found[topic].partitions == 3
    assert uuid.UUID(found[topic].id).int


def test_a_jump_over_records_deleted_by_retention_is_reported(start_kafka: StartKafka, client: str) -> None:
    """Retention, which runs each second, deletes records that a group has not read."""
    broker = start_kafka(KafkaOptions(retention_check_ms=1_000))
    with closing(to(broker, client)) as transport:
        topic = new_topic(transport, retention_ms="1500", segment_ms="1000")
        tp = TopicPartition(topic, 0)
        publisher = transport.publisher()
        for _ in range(5):
            publisher.send(Message(topic, b"city", b"x"))
        publisher.flush(DEADLINE_S)
        consumer = transport.group_consumer([topic], "g")
        wait_for(lambda: consumer.poll(0.2).assigned)
        consumer.commit({tp: Commit(2)})
        consumer.close()

        reader = transport.reader({tp: 0})
        wait_for(lambda: reader.begin_offsets([tp]) == {tp: 5})

        again = transport.group_consumer([topic], "g")
        gone = wait_for(lambda: again.poll(0.2).out_of_range)
        assert gone == (OffsetOutOfRange(tp, wanted=2, resumed=5),)


def test_nothing_is_lost_when_the_broker_is_killed(start_kafka: StartKafka, client: str) -> None:
    """Accepted messages arrive in order when it is available again. Readers and members continue by themselves."""
    broker = start_kafka(KafkaOptions())
    with closing(to(broker, client)) as transport:
        topic = new_topic(transport)
        tp = TopicPartition(topic, 0)
        publisher, reader = transport.publisher(), transport.reader({tp: 0})
        member = transport.group_consumer([topic], "g")
        wait_for(lambda: member.poll(0.2).assigned)
        futures = [publisher.send(Message(topic, b"city", b"%05d" % number)) for number in range(300)]
        futures[50].result(DEADLINE_S)

        broker.kill()
        futures += [publisher.send(Message(topic, b"city", b"%05d" % number)) for number in range(300, 600)]
        restart = threading.Thread(target=broker.start)
        restart.start()
        values: list[bytes] = []
        wait_for(lambda: len(set(values)) == 600 or read_on(reader, values))
        restart.join()

        publisher.flush(DEADLINE_S)
        assert all(future.exception(0) is None for future in futures)
        assert first_appearances(values) == [b"%05d" % number for number in range(600)]
        wait_for(lambda: commits(member, tp, 600))
        # Observed once on a busy machine: a restarted broker answered at first that nothing was committed.
        wait_for(lambda: member.committed([tp]) == {tp: Commit(600)})


def test_an_evicted_member_loses_its_partitions(kafka: DevKafka, transport: Transport) -> None:
    """Lost, not revoked: it can no longer commit. Then it joins again."""
    topic, group = new_topic(transport, 2), f"g-{uuid.uuid4().hex[:8]}"
    tps = frozenset({TopicPartition(topic, 0), TopicPartition(topic, 1)})
    consumer = transport.group_consumer([topic], group)
    wait_for(lambda: consumer.poll(0.2).assigned)
    other = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    members = other.describe_groups([group])[group]["members"]
    other.remove_group_members(group, [MemberToRemove(member_id=members[0]["member_id"])])
    other.close()

    with pytest.raises(CommitRefusedError):
        consumer.commit({TopicPartition(topic, 0): Commit(0)})

    deadline = time.monotonic() + DEADLINE_S
    while not (changes := consumer.poll(0.2)).lost:
        assert time.monotonic() < deadline
    assert (changes.lost, changes.revoked) == (tps, frozenset())
    wait_for(lambda: consumer.assignment() or consumer.poll(0.2).assigned)
    assert consumer.assignment() == tps


def test_a_returning_static_member_causes_no_rebalance(kafka: DevKafka, transport: Transport, client: str) -> None:
    """It gets the same partitions, and the other member sees no change. The broker knows both by their instance ids."""
    topic, group = new_topic(transport, 2), f"g-{uuid.uuid4().hex[:8]}"

    def named(name: str) -> Transport:
        return open_transport(settings_of(kafka, client, session_timeout_ms=20_000, group_instance_id=name))

    with closing(named("a")) as of_a, closing(named("b")) as of_b:
        a, b = (of.group_consumer([topic], group) for of in (of_a, of_b))
        deadline = time.monotonic() + DEADLINE_S
        while not len(a.assignment()) == len(b.assignment()) == 1:
            assert time.monotonic() < deadline
            a.poll(0.1)
            b.poll(0.1)
        (had,) = b.assignment()
        b.close()

        again = of_b.group_consumer([topic], group)
        while not again.assignment():
            assert time.monotonic() < deadline
            again.poll(0.1)
            changes = a.poll(0.1)
            assert (changes.revoked, changes.lost, changes.assigned) == (frozenset(), frozenset(), frozenset())

        assert again.assignment() == {had}
        with closing(transport.admin()) as admin:
            assert {member.instance_id for member in admin.members(group)} == {"a", "b"}
            assert admin.members("nobody-ever") == ()


def test_reading_commits_joins_no_group(kafka: DevKafka, transport: Transport, client: str) -> None:
    """Not even with the name of a static member, which would end the worker of that name."""
    topic, group = new_topic(transport), f"g-{uuid.uuid4().hex[:8]}"
    tp = TopicPartition(topic, 0)
    of_worker = open_transport(settings_of(kafka, client, session_timeout_ms=20_000, group_instance_id="a"))
    with closing(of_worker), closing(transport.admin()) as admin:
        worker = of_worker.group_consumer([topic], group)
        wait_for(lambda: worker.poll(0.2).assigned)
        worker.commit({tp: Commit(3)})
        (joined,) = admin.members(group)
        with closing(of_worker.group_consumer([topic], group)) as looking:
            deadline = time.monotonic() + 3  # a member joins at once
            while time.monotonic() < deadline:
                assert looking.committed([tp]) == {tp: Commit(3)}
                assert admin.members(group) == (joined,)
                changes = worker.poll(0.2)
                assert (changes.revoked, changes.lost) == (frozenset(), frozenset())
        worker.commit({tp: Commit(4)})
        assert worker.committed([tp]) == {tp: Commit(4)}


def test_members_of_both_clients_share_a_group(kafka: DevKafka) -> None:
    """So workers can change their client one after another. Each has the same partitions of all topics."""
    require_librdkafka()
    group = f"g-{uuid.uuid4().hex[:8]}"
    with closing(to(kafka, "kafka-python")) as of_first, closing(to(kafka, "librdkafka")) as of_second:
        topics = [new_topic(of_first, 4) for _ in range(2)]
        first, second = (of.group_consumer(topics, group) for of in (of_first, of_second))
        deadline = time.monotonic() + DEADLINE_S
        while not len(first.assignment()) == len(second.assignment()) == 4:
            assert time.monotonic() < deadline
            first.poll(0.1)
            second.poll(0.1)

        numbers = [{tp.partition for tp in member.assignment()} for member in (first, second)]
        assert [len(own) for own in numbers] == [2, 2]
        assert not numbers[0] & numbers[1]
        assert {tp.topic for tp in second.assignment()} == set(topics)


def test_a_member_is_confirmed_as_long_as_the_group_answers(start_kafka: StartKafka, client: str) -> None:
    """Two thirds of the session timeout after the last answer another member could own the partitions soon."""
    broker = start_kafka(KafkaOptions())
    with closing(to(broker, client)) as transport:
        member = transport.group_consumer([new_topic(transport)], "g")
        assert not member.is_confirmed()
        wait_for(lambda: member.poll(0.2).assigned)
        wait_for(lambda: member.poll(0.1) is not None and member.is_confirmed())

        broker.freeze()
        confirmed_s = frozen_s = asked_s = time.monotonic()
        while member.poll(0.1) is not None and member.is_confirmed():
            confirmed_s, asked_s = asked_s, time.monotonic()  # before it is asked: the test may be slow, too
            assert asked_s - frozen_s < DEADLINE_S
        assert confirmed_s - frozen_s < 6.0  # the session timeout
        broker.thaw()

        wait_for(lambda: member.poll(0.1) is not None and member.is_confirmed())


def test_records_rejected_in_one_batch_fail_and_the_others_arrive(transport: Transport) -> None:
    """A compacted topic rejects a whole batch for a record without a key; another topic must not be affected."""
    refusing = f"compacted-{uuid.uuid4().hex[:12]}"
    with closing(transport.admin()) as admin:
        admin.create([TopicSettings(refusing, 1, cleanup_policy="compact")])
    topic = new_topic(transport)
    with publishing(transport) as publisher:
        futures = [
            publisher.send(
                Message(refusing, None, b"%d" % n) if n in {3, 4} else Message(topic, b"k", b"%d" % n)  # type: ignore[arg-type] # ours have keys
            )
            for n in range(8)
        ]
        publisher.flush(DEADLINE_S)

    for number, future in enumerate(futures):
        error = future.exception(0)
        assert isinstance(error, MessageRejectedError) if number in {3, 4} else error is None
    reader = transport.reader({TopicPartition(topic, 0): 0})
    values: list[bytes] = []
    wait_for(lambda: len(set(values)) == 6 or read_on(reader, values))
    assert first_appearances(values) == [b"0", b"1", b"2", b"5", b"6", b"7"]


@contextmanager
def publishing(transport: Transport) -> Iterator[Publisher]:
    """Open a publisher, and close it within the time limit."""
    publisher = transport.publisher()
    yield publisher
    publisher.close(DEADLINE_S)


def wait_for(ask: Callable[[], T]) -> T:
    """Call until the return value is true, and return it."""
    deadline = time.monotonic() + DEADLINE_S
    while not (answer := ask()):
        assert time.monotonic() < deadline, "it never came"
    return answer


def read_on(reader: Reader, values: list[bytes]) -> bool:
    """Append the values of one more poll, and return false."""
    values += [record.value for record in reader.poll(0.2).records]
    return False


def commits(member: GroupConsumer, tp: TopicPartition, offset: int) -> bool:
    """Poll and commit; return false if the group removed the member while the broker was away for long."""
    member.poll(0.2)
    try:
        member.commit({tp: Commit(offset)})
    except CommitRefusedError:
        return False
    return True


def first_appearances(values: list[bytes]) -> list[bytes]:
    """Drop duplicates: a replaced producer may resend messages."""
    return list(dict.fromkeys(values))


def test_a_truncated_log_is_noticed_by_the_poll_whoever_hears_of_it_first(python_transport: KafkaTransport) -> None:
    """The client tells of it once, to `poll` or to `position`, for which it is no error."""
    topic = new_topic(python_transport)
    tp = TopicPartition(topic, 0)
    with publishing(python_transport) as publisher:
        for number in range(3):
            publisher.send(Message(topic, b"k", b"%d" % number))
    with closing(python_transport.reader({tp: 0})) as reader:
        values: list[bytes] = []
        wait_for(lambda: len(values) == 3 or read_on(reader, values))
        cut = LogTruncationError({theirs(tp): OffsetAndMetadata(1, "", 0)})
        reader._client._fetcher._cached_log_truncation = cut  # noqa: SLF001 - as if a leader had lost the last two

        assert reader.position(tp) == 3
        assert wait_for(lambda: reader.poll(0.2).out_of_range) == (OffsetOutOfRange(tp, wanted=3, resumed=1),)
        wait_for(lambda: len(values) == 5 or read_on(reader, values))
        assert values[3:] == [b"1", b"2"]


def test_end_offsets_of_a_member_include_unreadable_records(transport: Transport, kafka: DevKafka) -> None:
    """The records have arrived already. A member that used the visible end offset would conclude that nothing had."""
    topic, group = new_topic(transport), f"group-{uuid.uuid4().hex[:12]}"
    tp = TopicPartition(topic, 0)
    consumer = transport.group_consumer([topic], group)
    wait_for(lambda: consumer.poll(0.1).assigned)
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=f"hidden-{topic}")
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(topic, b"hidden").get(timeout=DEADLINE_S)

    with closing(transport.reader({tp: 0})) as reader:
        assert reader.end_offsets([tp]) == {tp: 0}
    assert consumer.poll(0.2).records == ()
    assert consumer.end_offsets([tp]) == {tp: 1}

    producer.abort_transaction()
    producer.close()
    values: list[bytes] = []
    wait_for(lambda: read_on(consumer, values) or consumer.position(tp) == consumer.end_offsets([tp])[tp])
    assert consumer.position(tp) == 2  # the record and the commit marker
    assert values == []


def test_end_offsets_of_a_member_do_not_wait_for_its_fetches(python_transport: KafkaTransport) -> None:
    """The broker answers the requests of a connection in turn, and a fetch that finds nothing only after 100 ms."""
    topic, group = new_topic(python_transport), f"group-{uuid.uuid4().hex[:12]}"
    tp = TopicPartition(topic, 0)
    consumer = python_transport.group_consumer([topic], group)
    wait_for(lambda: consumer.poll(0.1).assigned)
    manager = consumer._client._manager  # noqa: SLF001 - nothing public names connections
    leader = manager.cluster.leader_for_partition(theirs(tp))
    send, sent_to = manager.send, set()

    def noting(request: object, node_id: object = None, **options: object) -> object:
        sent_to.add((type(request).__name__, node_id))
        return send(request, node_id=node_id, **options)

    manager.send = noting
    wait_for(lambda: consumer.poll(0.1) is not None and ("FetchRequest", leader) in sent_to)
    sent_to.clear()
    assert consumer.end_offsets([tp]) == {tp: 0}

    assert {node for name, node in sent_to if name == "ListOffsetsRequest"} == {f"{OWN_CONNECTION}{leader}"}


def test_a_partition_without_a_leader_counts_as_unavailable(
    python_transport: KafkaTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client omits such a partition from its request, and then misses it in the response."""
    topic = new_topic(python_transport, 2)
    tps = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    with closing(python_transport.reader(dict.fromkeys(tps, 0))) as reader:
        cluster = reader._client._manager.cluster  # noqa: SLF001 - a leader that is gone only now is hard to come by
        known = cluster.leader_for_partition
        monkeypatch.setattr(cluster, "leader_for_partition", lambda tp: -1 if tp.partition else known(tp))

        for ask in (reader.end_offsets, reader.begin_offsets):
            with pytest.raises(BrokerUnavailableError, match="has no leader now"):
                ask(tps)
