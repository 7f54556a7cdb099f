"""The protocols of a transport. Only plain values cross them; no client object and no client error does.

A reader or consumer belongs to one thread. Publishers, admin clients and transports may be shared between threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol, runtime_checkable

from triptych.transport.records import (
    Commit,
    Delivered,
    GroupOffsets,
    Member,
    Message,
    OutOfRangePolicy,
    Poll,
    TopicPartition,
)
from triptych.transport.topic_settings import TopicIdentity, TopicSettings, TopicState


class Reader(Protocol):
    """Reads explicitly assigned partitions, without a consumer group and without commits.

    Every call that queries the broker may raise `BrokerUnavailableError`, except `poll`: while the broker is
    unavailable, `poll` returns no records.
    """

    def poll(self, timeout_s: float) -> Poll:
        """Return what is available; wait up to `timeout_s` for something. Call it even while everything is paused.

        Raises:
            OffsetOutOfRangeError: unread records were deleted, and the policy is to stop.
            UnreadableBatchError: a batch cannot be read, the policy is to stop, and this is no member of a group. A
                member stops reading the partition, and reports it in `Poll.unreadable`.
        """

    def position(self, tp: TopicPartition) -> int:
        """Return the offset to read next; the next record of `tp` has this offset or a larger one."""

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Continue reading `tp` at `offset`."""

    def pause(self, tps: Iterable[TopicPartition]) -> None:
        """Return no records of these partitions until `resume`. Partitions that are not assigned are ignored."""

    def resume(self, tps: Iterable[TopicPartition]) -> None:
        """Undo `pause`. Partitions that are not assigned are ignored."""

    def begin_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Query the first offsets still in the log. Never cached."""

    def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Query the offsets after the last records: a reader at this position has read everything. Never cached.

        For a member of a group this includes records that it cannot read yet, because not all replicas have them.
        """

    def offsets_for_times(self, times_ns: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Query the first offsets appended at or after the given times; the end offset if there is none."""

    def close(self) -> None:
        """Release all resources. Closing twice does nothing."""


class GroupConsumer(Reader, Protocol):
    """Reads the partitions that a group assigns, from the committed offset, or from the beginning if there is none."""

    def assignment(self) -> frozenset[TopicPartition]:
        """Return the assignment as of the last poll."""

    def commit(self, offsets: Mapping[TopicPartition, Commit]) -> None:
        """Commit the given offsets, and nothing else.

        Raises:
            CommitRefusedError: a rebalance took the partitions. Keep polling; they may be assigned again.
        """

    def committed(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, Commit | None]:
        """Query the group's committed offsets. Never cached."""

    def rewind(self, tps: Iterable[TopicPartition]) -> None:
        """Seek to the committed offsets, or to the beginning where there is none. All partitions must be assigned."""

    def group_offsets(self, offsets: Mapping[TopicPartition, int]) -> GroupOffsets:
        """Return what a transaction has to commit for the group to continue at these offsets.

        It carries the membership as of the last poll: once the group has continued without this member, the broker
        rejects a transaction with it.
        """

    def is_confirmed(self) -> bool:
        """Return whether the group answered so recently that nobody else can own our partitions.

        Any thread may call it. A process that was suspended does not know that it was evicted, so it must check this
        before it publishes.
        """

    def complete_revocation(self) -> None:
        """Give up the partitions that a poll reported as `revoking`. The group waits for this, up to its limit."""


@runtime_checkable
class Publisher(Protocol):
    """Sends messages in order. Messages with the same key arrive in order."""

    def send(self, message: Message) -> Future[Delivered]:
        """Queue a message; block while too many bytes are unacknowledged.

        The future fails with `MessageRejectedError` if the broker rejects this message. Its callbacks run on the
        client's thread: keep them short, and do not send from them.

        Raises:
            RecordTooLargeError: the message exceeds the limit; nothing was sent.
            PublishTimeoutError: the wait was too long; the message was not queued.
        """

    def flush(self, timeout_s: float) -> None:
        """Block until the outcome of all messages sent so far is known, or raise `PublishTimeoutError`."""

    def close(self, timeout_s: float) -> None:
        """Flush, then close. Unsent messages fail with `PublishTimeoutError`, which is raised too."""


class TransactionalPublisher(Protocol):
    """Publishes batches atomically. Belongs to one thread; close it only while no call is running."""

    def publish(self, messages: Sequence[Message], offsets: GroupOffsets | None) -> None:
        """Publish all messages and commit the offsets in one transaction; return when it is committed.

        After any error except `OutcomeUnknownError`, nothing is published and nothing committed:

        - `MessageRejectedError`, including `RecordTooLargeError`: one of the messages will never be accepted.
        - `CommitRefusedError`: the group reassigned the partitions, or another publisher took our name.
        - `RetriableError`: the same call may succeed later.
        - `OutcomeUnknownError`: it is unknown whether the transaction is committed; see `recover`.
        """

    def recover(self) -> None:
        """Make sure that no transaction of our name is open: earlier ones are committed or aborted afterwards.

        Raises:
            BrokerUnavailableError: no broker could confirm that.
        """

    def close(self, timeout_s: float) -> None:
        """Release all resources. Closing twice does nothing."""


class TopicAdmin(Protocol):
    """Creates and describes topics."""

    def create(self, topics: Sequence[TopicSettings]) -> tuple[str, ...]:
        """Create the topics that do not exist and return their names. Existing topics are not changed."""

    def describe(self, names: Sequence[str]) -> dict[str, TopicState]:
        """Return the state of each topic that exists."""

    def identify(self, names: Sequence[str]) -> dict[str, TopicIdentity]:
        """Return the identity of each topic that exists. Never cached, and cheaper than `describe`."""

    def names(self) -> tuple[str, ...]:
        """Return the names of all topics that exist, except those of the broker itself. Never cached."""

    def grow(self, partitions: Mapping[str, int]) -> None:
        """Add partitions to topics, up to these numbers of partitions, in one request."""

    def alter(self, name: str, configs: Mapping[str, str]) -> None:
        """Set some of a topic's configs, by Kafka's names."""

    def partition_count(self, topic: str) -> int | None:
        """Return the number of partitions, or None if the topic does not exist."""

    def appended_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Query the offset after the last appended record, committed or not.

        A reader at this position knows the outcome of every transaction that had appended something before the query.
        """

    def delete_records(self, before: Mapping[TopicPartition, int]) -> None:
        """Delete the records before an offset, as retention does."""

    def members(self, group: str) -> tuple[Member, ...]:
        """Return the current members of a group; none if the group does not exist."""

    def close(self) -> None:
        """Release all resources. Closing twice does nothing."""


class Transport(Protocol):
    """Creates the clients of one installation."""

    def reader(
        self, start: Mapping[TopicPartition, int], *, when_out_of_range: OutOfRangePolicy = "earliest"
    ) -> Reader:
        """Open a reader for these partitions, at these offsets."""

    def group_consumer(
        self,
        topics: Sequence[str],
        group: str,
        *,
        when_out_of_range: OutOfRangePolicy = "earliest",
        hand_over_s: float = 0.0,
    ) -> GroupConsumer:
        """Open a consumer that joins a group; the first polls bring the assignment.

        On Kafka it joins with its first poll: one that only reads commits is no member, and causes no rebalance.

        Partitions are assigned by range, so topics with equal partition counts are assigned alike. When the group
        revokes partitions, the consumer may keep them for up to `hand_over_s` to finish its work: the next poll reports
        them as `revoking`, and `complete_revocation` ends the wait. With 0 they are revoked at once.
        """

    def publisher(self) -> Publisher:
        """Open a publisher."""

    def transactional_publisher(self, name: str) -> TransactionalPublisher:
        """Open a transactional publisher; `name` is its transactional id, which only one publisher can hold.

        The name outlives the publisher: the next one to take it aborts the open transaction of the one before, and
        fences it.
        """

    def admin(self) -> TopicAdmin:
        """Open an admin client."""

    def close(self) -> None:
        """Close every client that was opened here and is still open."""
