"""Read the partitions that a Kafka consumer group assigns, with librdkafka (see `GroupConsumer`).

All calls of the client run on its own thread (`client_thread.py`). After a join the client is given no partitions at
first: the caller's poll looks up the committed offsets, makes the client read from there, and only then reports the
partitions. So a poll never waits for a broker inside the client's callbacks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Final, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaError
from confluent_kafka import TopicPartition as ClientPartition
from kafka import KafkaConsumer

from triptych.settings.kafka import KafkaSettings
from triptych.transport.assignment_changes import NO_PARTITIONS, AssignmentChanges
from triptych.transport.errors import (
    BrokerUnavailableError,
    CommitRefusedError,
    RetriableError,
    TransportClosedError,
)
from triptych.transport.kafka.consumer_client import (
    CLOSE_LIMIT_MS,
    REQUEST_LIMIT_MS,
    close_client,
    leaders_known,
    open_client,
)
from triptych.transport.kafka.errors import translating as translating_kafka_python
from triptych.transport.kafka.group_consumer import LEASE_FRACTION
from triptych.transport.kafka.log_ends import AppendedEnds
from triptych.transport.kafka.reader import SEEK_LIMIT_S, to_offsets
from triptych.transport.kafka.rebalance import theirs
from triptych.transport.librdkafka.client_thread import ClientThread
from triptych.transport.librdkafka.consumer_client import (
    QUERY_LIMIT_S,
    open_consumer,
    ours,
    query_commits,
    require_topics,
)
from triptych.transport.librdkafka.errors import query_error, querying, translated_error, translating
from triptych.transport.librdkafka.group_metadata import is_member, membership_of
from triptych.transport.librdkafka.heartbeats import HeartbeatWatch
from triptych.transport.librdkafka.reader import LibrdkafkaReader
from triptych.transport.records import (
    Commit,
    GroupOffsets,
    Membership,
    OutOfRangePolicy,
    Poll,
    Record,
    TopicPartition,
)

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")

NO_OFFSET: Final = 0
"""Below this, a committed offset of the client means that there is none."""


class LibrdkafkaGroupConsumer(LibrdkafkaReader):
    """A member of a consumer group (see `GroupConsumer`)."""

    _is_in_group = True

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[str],
        group: str,
        *,
        when_out_of_range: OutOfRangePolicy,
        hand_over_s: float = 0.0,
    ) -> None:
        self._group = group
        self._hand_over_s = hand_over_s
        self._heartbeats = HeartbeatWatch()
        self._is_member = False
        self._lease_s = settings.session_timeout_ms / 1_000 * LEASE_FRACTION
        self._changes = AssignmentChanges(hand_over_s, lambda: self._joined_as)
        self._joined_as: tuple[int, str] = (-1, "")
        self._polled_s = time.monotonic()
        """When the client last had no event to report, by the monotonic clock."""
        self._appended_ends: tuple[KafkaConsumer, AppendedEnds] | None = None
        opened = open_consumer(settings, group=group, configs={"stats_cb": self._on_statistics})
        super().__init__(settings, opened, when_out_of_range=when_out_of_range)
        require_topics(self._client, topics)
        self._topics = list(topics)
        self._is_subscribed = False
        """Set by the first poll. librdkafka joins in the background from then on, so what only reads commits must not
        subscribe."""
        self._thread = ClientThread()
        self._polling: Future[tuple[Record, ...]] | None = None

    def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Query the offsets after the last records, including records that consumers cannot read yet.

        librdkafka has no such query, so a client of kafka-python sends it, on a connection of its own.
        """
        if self._appended_ends is None:
            client = open_client(self._settings, group=None)
            self._appended_ends = client, AppendedEnds(client)
        with translating_kafka_python(f"asking the broker at {self._where} for end offsets"), leaders_known():
            return to_offsets(self._appended_ends[1].of([theirs(tp) for tp in tps], REQUEST_LIMIT_MS))

    def assignment(self) -> frozenset[TopicPartition]:
        """Return the assignment as of the last poll."""
        return self._changes.assignment

    def commit(self, offsets: Mapping[TopicPartition, Commit]) -> None:
        """Commit offsets, unless the partitions were reassigned."""
        if not offsets:
            return
        if not self._changes.assignment >= offsets.keys():
            raise CommitRefusedError("the group has reassigned these partitions; keep polling")
        doing = f"committing for group {self._group} at {self._where}"
        stored = [ClientPartition(*tp, commit.offset, commit.metadata) for tp, commit in offsets.items()]
        with translating(doing, self._group):
            done = self._on_client(lambda: self._client.commit(offsets=stored, asynchronous=False))
        for tp in done:
            if tp.error is not None:
                raise translated_error(tp.error, doing, tp.topic)

    def committed(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, Commit | None]:
        """Query the group's committed offsets."""
        wanted = list(tps)
        return self._on_client(lambda: self._stored(wanted, QUERY_LIMIT_S))

    def rewind(self, tps: Iterable[TopicPartition]) -> None:
        """Seek to the committed offsets, or to the beginning."""
        start = self._start_of(list(tps), QUERY_LIMIT_S)
        for tp, offset in start.items():
            self.seek(tp, offset)

    def group_offsets(self, offsets: Mapping[TopicPartition, int]) -> GroupOffsets:
        """Return what a transaction commits, with the membership of the last poll."""
        member = Membership(self._group, *self._changes.membership, self._settings.group_instance_id)
        return GroupOffsets(member, {tp: Commit(offset) for tp, offset in offsets.items()})

    def is_confirmed(self) -> bool:
        """Return whether the group has answered a join or a heartbeat recently, and has reported nothing else since.

        Both count from a moment before the answer can have been sent, so it does not matter how long the process was
        suspended.
        """
        confirmed_s = max(self._changes.joined_s, self._heartbeats.confirmed_s)
        return self._is_member and self._changes.is_told_of_losses and time.monotonic() - confirmed_s < self._lease_s

    def complete_revocation(self) -> None:
        """Let the group continue the rebalance."""
        self._changes.complete_revocation()

    def _close_client(self) -> None:
        """Leave the group, unless this is a static member."""
        self._changes.stop()
        closing = self._thread.submit(self._client.close)
        try:
            closing.result(2 * CLOSE_LIMIT_MS / 1_000)
        except TimeoutError:
            log.warning("kafka_close_abandoned", group=self._group)  # its thread ends with the process
        self._thread.close(CLOSE_LIMIT_MS / 1_000)
        if self._appended_ends is not None:
            close_client(self._appended_ends[0])

    def _on_client(self, call: Callable[[], Answer]) -> Answer:
        """Run what uses the client on its thread. A call without an answer is abandoned after twice its own limit."""
        try:
            return self._thread.submit(call).result(2 * QUERY_LIMIT_S)
        except TimeoutError as error:
            raise BrokerUnavailableError(f"the client of the broker at {self._where} does not answer") from error

    def _subscribe(self) -> None:
        with translating(f"subscribing for group {self._group} at {self._where}", self._group):
            self._client.subscribe(
                self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )
        self._is_subscribed = True

    def _poll_once(self, timeout_s: float) -> tuple[Record, ...]:
        """Poll, or wait for a poll that is still running."""
        if self.closed:
            raise TransportClosedError("this consumer is closed")
        polling = self._polling or self._thread.submit(lambda: self._consume(timeout_s))
        self._changes.wait_until_polled(polling, timeout_s)
        self._polling = None if polling.done() else polling
        return polling.result() if polling.done() else ()

    def _consume(self, timeout_s: float) -> tuple[Record, ...]:
        if not self._is_subscribed:
            self._subscribe()
        records = super()._consume(timeout_s)
        if not records:
            self._polled_s = time.monotonic()
        return records

    def _on_error(self, error: KafkaError, subject: str | None = None) -> None:
        group_errors = (KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.FENCED_INSTANCE_ID)
        super()._on_error(error, self._group if error.code() in group_errors else subject)

    def _with_assignment_changes(self, records: tuple[Record, ...]) -> Poll:
        if self._polling is not None:
            return self._changes.take(NO_PARTITIONS)
        if self._errors.fatal is not None:
            raise translated_error(
                self._errors.fatal, f"being a member of group {self._group} at {self._where}", self._group
            )
        assigned = self._changes.assigned
        changes = self._changes.take(assigned if self._start(assigned) else NO_PARTITIONS)
        kept = tuple(record for record in records if record.tp in self._changes.assignment)
        out_of_range, unreadable = self._take_faults()
        return replace(changes, records=kept, out_of_range=out_of_range, unreadable=unreadable)

    def _start(self, assigned: frozenset[TopicPartition]) -> bool:
        """Read newly assigned partitions from the committed offsets; return whether these are known.

        If not, the next poll tries again.
        """
        if not assigned:
            return True
        try:
            start = self._start_of(sorted(assigned), SEEK_LIMIT_S)
            self._on_client(lambda: self._begin(start))
        except (RetriableError, CommitRefusedError) as error:  # no answer, or the group is rebalancing again
            log.warning("kafka_position_unknown", error=str(error))
            return False
        return True

    def _begin(self, start: Mapping[TopicPartition, int]) -> None:
        self._forget_positions()
        self._positions.update(start)
        self._assign()
        with translating("resuming partitions"):  # the client remembers what was paused before the rebalance
            self._client.resume([ClientPartition(*tp) for tp in start])

    def _start_of(self, tps: list[TopicPartition], limit_s: float) -> dict[TopicPartition, int]:
        """Return the committed offsets, or the first ones in the log."""
        stored = self._on_client(lambda: self._stored(tps, limit_s))
        unread = [tp for tp, commit in stored.items() if commit is None]
        begins = self.begin_offsets(unread) if unread else {}
        return {tp: begins[tp] if commit is None else commit.offset for tp, commit in stored.items()}

    def _stored(self, tps: list[TopicPartition], limit_s: float) -> dict[TopicPartition, Commit | None]:
        doing = f"asking for the commits of group {self._group} at {self._where}"
        with querying(doing, self._group):
            found = query_commits(self._client, [ClientPartition(*tp) for tp in tps], limit_s)
        for tp in found:
            if tp.error is not None:
                raise query_error(tp.error, doing, tp.topic)
        return {ours(tp): None if tp.offset < NO_OFFSET else Commit(tp.offset, tp.metadata or "") for tp in found}

    # --- callbacks of the client, on its thread ---

    def _on_assign(self, client: Consumer, assigned: list[ClientPartition]) -> None:
        client.assign([])  # the caller's poll makes it read, once the positions are known
        self._joined_as = membership_of(client)
        self._is_member = True
        self._changes.record_assigned(map(ours, assigned), self._polled_s)

    def _on_revoke(self, client: Consumer, revoked: list[ClientPartition]) -> None:
        """Wait until the caller has finished with the revoked partitions, and run what it asks for meanwhile."""
        tps = frozenset(map(ours, revoked))
        if self.closed:  # the client answers no more calls, and gives the partitions up by itself
            self._changes.end_revocation(tps, is_member=True)
            return
        self._changes.begin_revocation(tps)
        deadline_s = time.monotonic() + self._hand_over_s
        self._thread.run_while(lambda: self._changes.is_revoking and is_member(client), deadline_s)
        self._forget_positions()
        if self._changes.is_stopped:
            client.unsubscribe()  # otherwise it would join once more before it leaves
        client.unassign()
        self._changes.end_revocation(tps, is_member=is_member(client))

    def _on_lost(self, client: Consumer, lost: list[ClientPartition]) -> None:
        self._is_member = False
        if not self.closed:
            self._forget_positions()
            client.unassign()
        self._changes.record_lost(map(ours, lost))

    def _on_statistics(self, text: str) -> None:
        if self.closed:
            return
        self._heartbeats.on_statistics(text)
        self._is_member = self._is_member and is_member(self._client)

    def _forget_positions(self) -> None:
        self._positions.clear()
        self._paused.clear()
        self._outside.clear()
        self._broken.clear()
        self._stopped.clear()
