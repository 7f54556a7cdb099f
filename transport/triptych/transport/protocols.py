"""What programs may ask of a transport. Plain values pass; no client object and no client error does.

A consumer or reader belongs to one thread; publishers, admins and transports may be shared.
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
from triptych.transport.topic_settings import TopicSettings, TopicState


class Reader(Protocol):
    """Read partitions chosen by hand: no group, nothing committed.

    All that asks the broker may raise `BrokerUnavailableError`; `poll` does not: an absent broker looks like silence.
    """

    def poll(self, timeout_s: float) -> Poll:
        """Return what there is, waiting no longer than `timeout_s` for something; call it even when all is paused.

        Raises `OffsetGoneError` where records vanished unread and the policy is to stop.
        """

    def position(self, tp: TopicPartition) -> int:
        """Return the offset that the next record of `tp` will have at least."""

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Go on reading `tp` at `offset`."""

    def pause(self, tps: Iterable[TopicPartition]) -> None:
        """Return no more records of these until `resume`; a partition that is not ours is passed over."""

    def resume(self, tps: Iterable[TopicPartition]) -> None:
        """Undo `pause`; a partition that is not ours is passed over."""

    def begin_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Ask anew for the first offset still in the log."""

    def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Ask anew for the offset after the last record: whoever stands there has read everything there was.

        A member of a group is told of records too that it cannot read yet, since not all replicas have them.
        """

    def offsets_for_times(self, times_ns: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Return the first offset appended at or after a time, or the end offset where there is none."""

    def close(self) -> None:
        """Let go of everything; closing twice does nothing."""


class GroupConsumer(Reader, Protocol):
    """Read the partitions that a group assigns, from where the group committed, else from the beginning."""

    def assignment(self) -> frozenset[TopicPartition]:
        """Return what the last poll left assigned."""

    def commit(self, offsets: Mapping[TopicPartition, Commit]) -> None:
        """Store where the group goes on reading; only ever what is named.

        Raises `CommitRefusedError` when a rebalance made it pointless: keep polling, the partitions may come back.
        """

    def committed(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, Commit | None]:
        """Ask anew what the group has committed."""

    def rewind(self, tps: Iterable[TopicPartition]) -> None:
        """Go back to where the group committed, or to the beginning where it has not; all of these are assigned."""

    def group_offsets(self, offsets: Mapping[TopicPartition, int]) -> GroupOffsets:
        """Return what a transaction stores so that the group goes on at these offsets.

        It is in the name of the membership that the last poll left: once the group has gone on without us, a
        transaction with it is refused.
        """

    def is_confirmed(self) -> bool:
        """Whether the group has answered us so lately that nobody else can have our partitions. Any thread may ask.

        A process that stood still does not know that it was thrown out: it asks this before it publishes.
        """

    def complete_revocation(self) -> None:
        """Give up the partitions that a poll has told as `revoking`; the group waits for this, up to its limit."""


@runtime_checkable
class Publisher(Protocol):
    """Send messages in order; those of one key arrive in order."""

    def send(self, message: Message) -> Future[Delivered]:
        """Hand a message over; wait while too many bytes are unacknowledged.

        Raises `RecordTooLargeError` before anything is sent, and `PublishTimeoutError` when the wait was too long (the
        message was not taken). The future's own error is a `MessageRejectedError` where the broker refused this one
        message. Its callbacks run on the client's thread: keep them short, and send nothing from them.
        """

    def flush(self, timeout_s: float) -> None:
        """Return when the fate of all messages sent so far is known, or raise `PublishTimeoutError`."""

    def close(self, timeout_s: float) -> None:
        """Flush, then let go. What could not be sent fails with `PublishTimeoutError`, which is raised too."""


class TransactionalPublisher(Protocol):
    """Publish batches, each whole or not at all. Belongs to one thread; it is closed when no call is under way."""

    def publish(self, messages: Sequence[Message], offsets: GroupOffsets | None) -> None:
        """Publish all messages, and store the offsets, in one transaction; return when it is committed.

        After any error but `OutcomeUnknownError` nothing of it is published, and nothing stored:

        - `MessageRejectedError`, as `RecordTooLargeError`: one of the messages will never be taken.
        - `CommitRefusedError`: the group has given the partitions away, or another publisher has taken our name.
        - `RetriableError`: the same call may succeed later.
        - `OutcomeUnknownError`: nobody said whether it is committed; see `recover`.
        """

    def recover(self) -> None:
        """Make sure that no transaction of our name is open: what was begun before is now committed or aborted.

        Raises `BrokerUnavailableError` while nobody can say so.
        """

    def close(self, timeout_s: float) -> None:
        """Let go of everything; closing twice does nothing."""


class TopicAdmin(Protocol):
    """Make and describe topics."""

    def create(self, topics: Sequence[TopicSettings]) -> tuple[str, ...]:
        """Make those topics that do not exist; return their names. Existing ones are left as they are."""

    def describe(self, names: Sequence[str]) -> dict[str, TopicState]:
        """Return what each existing topic is; a missing one is left out."""

    def alter(self, name: str, configs: Mapping[str, str]) -> None:
        """Set some of a topic's settings, by Kafka's own names."""

    def partition_count(self, topic: str) -> int | None:
        """Return the number of partitions, or None where there is no such topic."""

    def appended_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Ask for the offset after the last record that was appended, committed or not.

        A reader that stands there knows the fate of every transaction that had appended anything before.
        """

    def delete_records(self, before: Mapping[TopicPartition, int]) -> None:
        """Delete what lies before an offset, as retention does."""

    def members(self, group: str) -> tuple[Member, ...]:
        """Return who is in a group now; nobody where there is no such group."""

    def close(self) -> None:
        """Let go of everything; closing twice does nothing."""


class Transport(Protocol):
    """Make the clients of one installation."""

    def reader(
        self, start: Mapping[TopicPartition, int], *, when_out_of_range: OutOfRangePolicy = "earliest"
    ) -> Reader:
        """Read these partitions from these offsets."""

    def group_consumer(
        self,
        topics: Sequence[str],
        group: str,
        *,
        when_out_of_range: OutOfRangePolicy = "earliest",
        hand_over_s: float = 0.0,
    ) -> GroupConsumer:
        """Join a group; the first polls bring the assignment.

        Partitions are assigned by range, so that topics with equal numbers of partitions are assigned alike. When the
        group asks partitions back, the consumer may keep them for up to `hand_over_s` to finish its work: the next poll
        tells them as `revoking`, and `complete_revocation` ends the wait. With 0 they are revoked at once.
        """

    def publisher(self) -> Publisher:
        """Open a publisher."""

    def transactional_publisher(self, name: str) -> TransactionalPublisher:
        """Open a publisher of transactions that no other one has the name of.

        The name outlives it: whoever takes it next ends what the one before left open, and fences that one out.
        """

    def admin(self) -> TopicAdmin:
        """Open an admin."""

    def close(self) -> None:
        """Close whatever was opened here and is still open."""
