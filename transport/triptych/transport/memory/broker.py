"""The state that all clients of a memory transport share: topics and groups, guarded by one lock and condition.

A topic holds a limited number of bytes. At the limit, the oldest records that nobody needs are deleted: those below the
committed offset of every group and behind every open reader. If there are none, the publisher blocks. A topic that was
never read needs all of its records.
"""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from triptych.schemas.partition import partition_of
from triptych.transport.errors import (
    CommitRefusedError,
    MessageRejectedError,
    PublishTimeoutError,
    RecordTooLargeError,
    TopicMissingError,
)
from triptych.transport.memory.group import MemoryConsumerGroup
from triptych.transport.memory.log import PartitionLog
from triptych.transport.records import Delivered, GroupOffsets, Message, Record, TopicPartition
from triptych.transport.topic_settings import TopicSettings


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """The limits of a memory transport; see `MemoryTransport`."""

    max_bytes: int
    max_record_bytes: int
    send_timeout_s: float
    session_timeout_s: float


class MemoryTopic:
    """One topic: its settings and its partitions."""

    def __init__(self, settings: TopicSettings) -> None:
        self.settings = settings
        self.id = uuid.uuid4().hex
        self.configs = dict(settings.configs)
        self.logs = [PartitionLog() for _ in range(settings.partitions)]
        self.was_read = False

    @property
    def held_bytes(self) -> int:
        """The size of all its records."""
        return sum(log.held_bytes for log in self.logs)


class OpenReader:
    """A reader as the broker knows it: which partitions it reads from where, and how to wake its poll."""

    def __init__(self, positions: dict[TopicPartition, int], lock: threading.RLock) -> None:
        self.positions = positions
        self.woken = threading.Condition(lock)


class MemoryBroker:
    """Holds the topics and groups.

    `changed` guards everything. It is notified of what a publisher may wait for. A reader waits on a condition of its
    own: a record of a partition that it does not read does not wake it.
    """

    def __init__(self, clock_ns: Callable[[], int], *, partitions: int, limits: MemoryLimits) -> None:
        self._clock_ns = clock_ns
        self._partitions = partitions
        self.limits = limits
        self._lock = threading.RLock()
        self.changed = threading.Condition(self._lock)
        self.topics: dict[str, MemoryTopic] = {}
        self.groups: dict[str, MemoryConsumerGroup] = {}
        self._epochs: dict[str, int] = {}
        self._readers: list[OpenReader] = []

    def topic(self, name: str) -> MemoryTopic:
        """Return a topic; create it on first use."""
        with self.changed:
            if name not in self.topics:
                self.create(TopicSettings(name, self._partitions, max_record_bytes=self.limits.max_record_bytes))
            return self.topics[name]

    def create(self, settings: TopicSettings) -> bool:
        """Create a topic unless it exists; return whether it was created."""
        with self.changed:
            if settings.name in self.topics:
                return False
            self.topics[settings.name] = MemoryTopic(settings)
            return True

    def add_partitions(self, name: str, partitions: int) -> None:
        """Let a topic grow, and its groups rebalance."""
        with self.changed:
            topic = self.topic(name)
            topic.logs += [PartitionLog() for _ in range(partitions - len(topic.logs))]
            for group in self.groups.values():
                if name in group.topics:
                    group.begin_rebalance()
            self.wake_all()

    def recreate(self, name: str) -> None:
        """Replace a topic by an empty one with another id."""
        with self.changed:
            before = self.topic(name)
            self.topics[name] = MemoryTopic(before.settings)
            self.topics[name].was_read = before.was_read
            self.wake_all()

    def log(self, tp: TopicPartition) -> PartitionLog:
        """Return one partition."""
        topic = self.topics.get(tp.topic) or self.topic(tp.topic)
        if not 0 <= tp.partition < len(topic.logs):
            raise TopicMissingError(f"{tp.topic} has partitions 0 to {len(topic.logs) - 1}, asked for {tp.partition}")
        return topic.logs[tp.partition]

    def group(self, name: str, topics: Iterable[str]) -> MemoryConsumerGroup:
        """Return a group, created on first use, and mark its topics as read."""
        with self.changed:
            for topic in topics:
                self.topic(topic).was_read = True
            return self.groups.setdefault(name, MemoryConsumerGroup(self.limits.session_timeout_s))

    def evict_members(self, name: str) -> None:
        """Remove all members of a group. Each joins again at its next poll, or at once if it is polling."""
        with self.changed:
            group = self.groups[name]
            for member_id in group.member_ids():
                group.leave(member_id)
            self.wake_all()

    def open_reader(self, positions: dict[TopicPartition, int]) -> OpenReader:
        """Register a reader. `positions` is read whenever space is needed, and whenever a record is appended."""
        with self.changed:
            for tp in positions:
                self.topic(tp.topic).was_read = True
            reader = OpenReader(positions, self._lock)
            self._readers.append(reader)
            return reader

    def close_reader(self, reader: OpenReader) -> None:
        """Unregister a reader."""
        with self.changed:
            if reader in self._readers:
                self._readers.remove(reader)
            self.wake_all()

    def wake_all(self) -> None:
        """Wake all that wait for a change of any kind."""
        with self.changed:
            self.changed.notify_all()
            for reader in self._readers:
                reader.woken.notify_all()

    def append(self, message: Message) -> Delivered:
        """Append a message with the current time as its arrival time. Block while there is no room.

        Raises:
            PublishTimeoutError: there was no room in time.
            RecordTooLargeError: the message exceeds the topic's limit.
        """
        with self.changed:
            topic, number = self._route(message)
            self._make_room(topic, message.size_bytes)
            return self._append_at(topic, number, message)

    def take_name(self, name: str) -> int:
        """Take the name of a transactional publisher from its owner, and return the new epoch."""
        with self.changed:
            self._epochs[name] = self._epochs.get(name, 0) + 1
            return self._epochs[name]

    def append_together(
        self, messages: Sequence[Message], offsets: GroupOffsets | None, *, name: str, epoch: int
    ) -> None:
        """Append all messages and commit the offsets, or nothing. Block while there is no room.

        Raises what `append` raises, and `CommitRefusedError` if the name or the partitions have another owner.
        """
        with self.changed:
            placed = [(*self._route(message), message) for message in messages]
            wanted = Counter[str]()
            for topic, _, message in placed:
                wanted[topic.settings.name] += message.size_bytes
            for topic_name, size_bytes in wanted.items():
                self._make_room(self.topic(topic_name), size_bytes)
            if self._epochs[name] != epoch:
                raise CommitRefusedError(f"another publisher has taken the name {name}")
            if offsets is not None:
                self.groups[offsets.member.group].store(offsets)
            for topic, number, message in placed:
                self._append_at(topic, number, message)
            self.changed.notify_all()  # the commits make room

    def _route(self, message: Message) -> tuple[MemoryTopic, int]:
        """Return the topic and partition of a message, after checking that it may be appended."""
        topic = self.topic(message.topic)
        limit = topic.settings.max_record_bytes
        if message.size_bytes > limit:
            raise RecordTooLargeError(
                message.topic, size_bytes=message.size_bytes, limit_bytes=limit, refused_by="the topic"
            )
        number = partition_of(message.key, len(topic.logs)) if message.partition is None else message.partition
        if number not in range(len(topic.logs)):
            raise MessageRejectedError(f"{message.topic} has {len(topic.logs)} partitions, no number {number}")
        return topic, number

    def _append_at(self, topic: MemoryTopic, number: int, message: Message) -> Delivered:
        log = topic.logs[number]
        record = Record(
            message.topic, number, log.end, self._clock_ns(), message.key, message.value or b"", message.headers
        )
        log.append(record)
        tp = record.tp
        for reader in self._readers:
            if tp in reader.positions:
                reader.woken.notify_all()
        return Delivered(message.topic, number, record.offset)

    def drop_before(self, tp: TopicPartition, offset: int) -> None:
        """Delete the records of a partition below an offset."""
        with self.changed:
            log = self.log(tp)
            while log.begin < min(offset, log.end):
                log.drop_oldest()
            self.wake_all()

    def _make_room(self, topic: MemoryTopic, size_bytes: int) -> None:
        deadline = time.monotonic() + self.limits.send_timeout_s
        while (over := topic.held_bytes + size_bytes - self.limits.max_bytes) > 0 and topic.held_bytes:
            if self._delete_consumed(topic, over):
                continue
            if not self.changed.wait(deadline - time.monotonic()):
                raise PublishTimeoutError(
                    f"{topic.settings.name} holds {topic.held_bytes} bytes that are not yet read and committed, of "
                    f"{self.limits.max_bytes} allowed; there was no room within {self.limits.send_timeout_s:g} s"
                )

    def _delete_consumed(self, topic: MemoryTopic, wanted_bytes: int) -> bool:
        """Delete the oldest records that nobody needs until there is enough room; return whether there is."""
        needed_from = [
            self._retained_from(topic, TopicPartition(topic.settings.name, number)) for number in range(len(topic.logs))
        ]
        while wanted_bytes > 0:
            free = [
                log
                for log, resume_offset in zip(topic.logs, needed_from, strict=True)
                if log.begin < min(resume_offset, log.end)
            ]
            if not free:
                return False
            wanted_bytes -= min(free, key=lambda log: log.oldest_arrival_ns).drop_oldest()
        return True

    def _retained_from(self, topic: MemoryTopic, tp: TopicPartition) -> int:
        log = topic.logs[tp.partition]
        if not topic.was_read:
            return log.begin
        by_group = (group.resume_offset(tp, log.begin) for group in self.groups.values() if tp.topic in group.topics)
        by_reader = (reader.positions[tp] for reader in self._readers if tp in reader.positions)
        return min(itertools.chain(by_group, by_reader), default=log.end)
