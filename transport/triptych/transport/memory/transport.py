"""Transport within one process: the same guarantees as with Kafka, held in memory and bounded in bytes.

For the demo, for tests and for experiments. Nothing survives the process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future

from triptych.transport.errors import MessageRejectedError, RecordTooLargeError, TransportClosedError
from triptych.transport.memory.broker import MemoryBroker, MemoryLimits
from triptych.transport.memory.group_consumer import MemoryGroupConsumer
from triptych.transport.memory.reader import MemoryReader
from triptych.transport.records import Delivered, GroupOffsets, Member, Message, OutOfRangePolicy, TopicPartition
from triptych.transport.topic_settings import DEFAULT_PARTITIONS, TopicIdentity, TopicSettings, TopicState

MAX_BYTES = 64 << 20
MAX_RECORD_BYTES = 4 << 20


class MemoryTransport:
    """Creates clients that share one in-memory broker (see `Transport`).

    Topics are created on first use, with the number of partitions given here.
    """

    def __init__(
        self,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        partitions: int = DEFAULT_PARTITIONS,
        max_bytes: int = MAX_BYTES,
        max_record_bytes: int = MAX_RECORD_BYTES,
        send_timeout_s: float = 60.0,
        session_timeout_s: float = 10.0,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create an empty broker.

        Args:
            clock_ns: the clock of arrival times.
            partitions: the partitions of a topic created on first use.
            max_bytes: the limit of one topic; publishers block at the limit.
            max_record_bytes: the limit of key, value and headers of one record.
            send_timeout_s: how long a publisher blocks at the limit.
            session_timeout_s: a member that has not polled for this long is evicted when another one polls.
            monotonic_s: the clock of that timeout.
        """
        self._monotonic_s = monotonic_s
        self._broker = MemoryBroker(
            clock_ns,
            partitions=partitions,
            limits=MemoryLimits(max_bytes, max_record_bytes, send_timeout_s, session_timeout_s),
        )

    def reader(
        self, start: Mapping[TopicPartition, int], *, when_out_of_range: OutOfRangePolicy = "earliest"
    ) -> MemoryReader:
        """Open a reader for these partitions, at these offsets."""
        return MemoryReader(self._broker, start, when_out_of_range=when_out_of_range)

    def group_consumer(
        self,
        topics: Sequence[str],
        group: str,
        *,
        when_out_of_range: OutOfRangePolicy = "earliest",
        hand_over_s: float = 0.0,
    ) -> MemoryGroupConsumer:
        """Join a group."""
        return MemoryGroupConsumer(
            self._broker,
            topics,
            group,
            when_out_of_range=when_out_of_range,
            hand_over_s=hand_over_s,
            monotonic_s=self._monotonic_s,
        )

    def publisher(self) -> MemoryPublisher:
        """Open a publisher."""
        return MemoryPublisher(self._broker)

    def transactional_publisher(self, name: str) -> MemoryTransactions:
        """Open a transactional publisher."""
        return MemoryTransactions(self._broker, name)

    def admin(self) -> MemoryAdmin:
        """Open an admin client."""
        return MemoryAdmin(self._broker)

    def evict_members(self, group: str) -> None:
        """Evict all members of a group at once, as the session timeout would."""
        self._broker.evict_members(group)

    def add_partitions(self, topic: str, partitions: int) -> None:
        """Let a topic grow to this number of partitions. Groups that read it rebalance."""
        self._broker.add_partitions(topic, partitions)

    def recreate(self, topic: str) -> None:
        """Delete a topic and create it again, empty, with another id. Commits of groups stay, as they may in Kafka."""
        self._broker.recreate(topic)

    def close(self) -> None:
        """Do nothing: the memory is freed with the last client."""


class MemoryPublisher:
    """Appends messages immediately (see `Publisher`)."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._closed = False

    def send(self, message: Message) -> Future[Delivered]:
        """Append a message. Block while there is no room; the future is done on return."""
        if self._closed:
            raise TransportClosedError("this publisher is closed")
        limit = self._broker.limits.max_record_bytes
        if message.size_bytes > limit:
            raise RecordTooLargeError(
                message.topic, size_bytes=message.size_bytes, limit_bytes=limit, refused_by="this program"
            )
        delivered: Future[Delivered] = Future()
        try:
            delivered.set_result(self._broker.append(message))
        except MessageRejectedError as error:
            delivered.set_exception(error)
        return delivered

    def flush(self, timeout_s: float) -> None:
        """Return at once: nothing is ever in flight."""

    def close(self, timeout_s: float) -> None:
        """Accept no more messages."""
        self.flush(timeout_s)
        self._closed = True


class MemoryTransactions:
    """Appends batches atomically (see `TransactionalPublisher`). No transaction is ever open."""

    def __init__(self, broker: MemoryBroker, name: str) -> None:
        self._broker = broker
        self._name = name
        self._epoch: int | None = broker.take_name(name)
        self._closed = False

    def publish(self, messages: Sequence[Message], offsets: GroupOffsets | None) -> None:
        """Append all messages and commit the offsets, or nothing."""
        if self._closed:
            raise TransportClosedError("this publisher is closed")
        self.recover()
        epoch, self._epoch = self._epoch, None  # after a failure the name must be taken again
        self._broker.append_together(messages, offsets, name=self._name, epoch=epoch or 0)
        self._epoch = epoch

    def recover(self) -> None:
        """Take the name again if needed."""
        if self._epoch is None:
            self._epoch = self._broker.take_name(self._name)

    def close(self, timeout_s: float) -> None:  # noqa: ARG002 - required by the protocol
        """Accept no more messages."""
        self._closed = True


class MemoryAdmin:
    """Creates and describes in-memory topics (see `TopicAdmin`)."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def create(self, topics: Sequence[TopicSettings]) -> tuple[str, ...]:
        """Create the topics that do not exist."""
        return tuple(topic.name for topic in topics if self._broker.create(topic))

    def describe(self, names: Sequence[str]) -> dict[str, TopicState]:
        """Return the state of each existing topic."""
        found = {name: self._broker.topics[name] for name in names if name in self._broker.topics}
        return {name: TopicState(name, len(topic.logs), dict(topic.configs)) for name, topic in found.items()}

    def identify(self, names: Sequence[str]) -> dict[str, TopicIdentity]:
        """Return the identity of each existing topic."""
        with self._broker.changed:
            found = {name: self._broker.topics[name] for name in names if name in self._broker.topics}
            return {name: TopicIdentity(topic.id, len(topic.logs)) for name, topic in found.items()}

    def names(self) -> tuple[str, ...]:
        """Return the names of all topics that exist."""
        with self._broker.changed:
            return tuple(self._broker.topics)

    def grow(self, partitions: Mapping[str, int]) -> None:
        """Add partitions to topics, up to these numbers."""
        for topic, count in partitions.items():
            self._broker.add_partitions(topic, count)

    def alter(self, name: str, configs: Mapping[str, str]) -> None:
        """Store some of a topic's configs; they have no effect here."""
        self._broker.topic(name).configs.update(configs)

    def partition_count(self, topic: str) -> int | None:
        """Return the number of partitions, or None if the topic does not exist."""
        state = self.describe([topic]).get(topic)
        return None if state is None else state.partitions

    def appended_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the end offsets: nothing is appended before it is committed."""
        with self._broker.changed:
            return {tp: self._broker.log(tp).end for tp in tps}

    def delete_records(self, before: Mapping[TopicPartition, int]) -> None:
        """Delete the records before the given offsets."""
        for tp, offset in before.items():
            self._broker.drop_before(tp, offset)

    def members(self, group: str) -> tuple[Member, ...]:
        """Return the current members of a group."""
        with self._broker.changed:
            known = self._broker.groups.get(group)
            return () if known is None else tuple(Member(name, "memory") for name in known.member_ids())

    def close(self) -> None:
        """Do nothing: there are no resources."""
