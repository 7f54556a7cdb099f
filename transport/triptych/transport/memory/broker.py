"""The part of the memory transport that all its clients share: topics, groups, one lock, one condition.

A topic holds a limited number of bytes. At the limit the oldest records that nobody needs any more are forgotten: those
below every group's commit and behind every open reader. If there are none, the publisher waits; a topic that nobody has
ever read is needed whole.
"""

from __future__ import annotations

import itertools
import threading
import time
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
    """The bounds of a memory transport; see `MemoryTransport`."""

    max_bytes: int
    max_record_bytes: int
    send_timeout_s: float
    session_timeout_s: float


class MemoryTopic:
    """One topic: its settings and its partitions."""

    def __init__(self, settings: TopicSettings) -> None:
        self.settings = settings
        self.configs = dict(settings.configs)
        self.logs = [PartitionLog() for _ in range(settings.partitions)]
        self.was_read = False

    @property
    def held_bytes(self) -> int:
        """What all partitions hold."""
        return sum(log.held_bytes for log in self.logs)


class MemoryBroker:
    """Hold the topics and groups. All of it is guarded by `changed`, which is notified of every change."""

    def __init__(self, clock_ns: Callable[[], int], *, partitions: int, limits: MemoryLimits) -> None:
        self._clock_ns = clock_ns
        self._partitions = partitions
        self.limits = limits
        self.changed = threading.Condition(threading.RLock())
        self.topics: dict[str, MemoryTopic] = {}
        self.groups: dict[str, MemoryConsumerGroup] = {}
        self._epochs: dict[str, int] = {}
        self._reading: dict[int, dict[TopicPartition, int]] = {}
        self._reader_ids = itertools.count()

    def topic(self, name: str) -> MemoryTopic:
        """Return a topic, made on first use."""
        with self.changed:
            if name not in self.topics:
                self.create(TopicSettings(name, self._partitions, max_record_bytes=self.limits.max_record_bytes))
            return self.topics[name]

    def create(self, settings: TopicSettings) -> bool:
        """Make a topic unless it exists; say whether it was made."""
        with self.changed:
            if settings.name in self.topics:
                return False
            self.topics[settings.name] = MemoryTopic(settings)
            return True

    def log(self, tp: TopicPartition) -> PartitionLog:
        """Return one partition."""
        topic = self.topic(tp.topic)
        if not 0 <= tp.partition < len(topic.logs):
            raise TopicMissingError(f"{tp.topic} has partitions 0 to {len(topic.logs) - 1}, asked for {tp.partition}")
        return topic.logs[tp.partition]

    def group(self, name: str, topics: Iterable[str]) -> MemoryConsumerGroup:
        """Return a group, made on first use, whose topics are read from now on."""
        with self.changed:
            for topic in topics:
                self.topic(topic).was_read = True
            return self.groups.setdefault(name, MemoryConsumerGroup(self.limits.session_timeout_s))

    def throw_out_members(self, name: str) -> None:
        """Make a group forget its members; each joins again at its next poll, or at once where it is in one."""
        with self.changed:
            group = self.groups[name]
            for member_id in group.member_ids():
                group.leave(member_id)
            self.changed.notify_all()

    def open_reader(self, positions: dict[TopicPartition, int]) -> int:
        """Note that somebody reads outside any group; the positions are read whenever room is needed."""
        with self.changed:
            for tp in positions:
                self.topic(tp.topic).was_read = True
            reader_id = next(self._reader_ids)
            self._reading[reader_id] = positions
            return reader_id

    def close_reader(self, reader_id: int) -> None:
        """Note that a reader needs nothing any more."""
        with self.changed:
            self._reading.pop(reader_id, None)
            self.changed.notify_all()

    def append(self, message: Message) -> Delivered:
        """Append a message, waiting for room; it is given its arrival time here.

        Raises `PublishTimeoutError` when there was no room in time, `RecordTooLargeError` when the topic's own limit
        is below the sender's.
        """
        with self.changed:
            topic, number = self._place(message)
            self._make_room(topic, message.size_bytes)
            return self._append_at(topic, number, message)

    def take_name(self, name: str) -> int:
        """Take the name of a publisher of transactions from whoever had it, and return the epoch that began."""
        with self.changed:
            self._epochs[name] = self._epochs.get(name, 0) + 1
            return self._epochs[name]

    def append_together(
        self, messages: Sequence[Message], offsets: GroupOffsets | None, *, name: str, epoch: int
    ) -> None:
        """Append all messages and store the offsets, or nothing, waiting for room.

        Raises what `append` does, and `CommitRefusedError` where the name or the partitions are another's by now.
        """
        with self.changed:
            placed = [(*self._place(message), message) for message in messages]
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
            self.changed.notify_all()

    def _place(self, message: Message) -> tuple[MemoryTopic, int]:
        """Return where a message goes, having made sure that it may go there."""
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
        record = Record(message.topic, number, log.end, self._clock_ns(), message.key, message.value, message.headers)
        log.append(record)
        self.changed.notify_all()
        return Delivered(message.topic, number, record.offset)

    def drop_before(self, tp: TopicPartition, offset: int) -> None:
        """Forget the records of a partition below an offset."""
        with self.changed:
            log = self.log(tp)
            while log.begin < min(offset, log.end):
                log.drop_oldest()
            self.changed.notify_all()

    def _make_room(self, topic: MemoryTopic, size_bytes: int) -> None:
        deadline = time.monotonic() + self.limits.send_timeout_s
        while (over := topic.held_bytes + size_bytes - self.limits.max_bytes) > 0 and topic.held_bytes:
            if self._forget(topic, over):
                continue
            if not self.changed.wait(deadline - time.monotonic()):
                raise PublishTimeoutError(
                    f"{topic.settings.name} holds {topic.held_bytes} bytes that are still to be read and committed, of "
                    f"{self.limits.max_bytes} allowed; nothing made room within {self.limits.send_timeout_s:g} s"
                )

    def _forget(self, topic: MemoryTopic, wanted_bytes: int) -> bool:
        """Forget the oldest records nobody needs until enough room is made; say whether that was possible."""
        floors = [self._floor(topic, TopicPartition(topic.settings.name, number)) for number in range(len(topic.logs))]
        while wanted_bytes > 0:
            free = [log for log, floor in zip(topic.logs, floors, strict=True) if log.begin < min(floor, log.end)]
            if not free:
                return False
            wanted_bytes -= min(free, key=lambda log: log.oldest_arrival_ns).drop_oldest()
        return True

    def _floor(self, topic: MemoryTopic, tp: TopicPartition) -> int:
        log = topic.logs[tp.partition]
        if not topic.was_read:
            return log.begin
        by_group = (group.floor(tp, log.begin) for group in self.groups.values() if tp.topic in group.topics)
        by_reader = (positions[tp] for positions in self._reading.values() if tp in positions)
        return min(itertools.chain(by_group, by_reader), default=log.end)
