"""Read the partitions that a Kafka consumer group assigns (see `GroupConsumer`)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import structlog
from kafka.structs import OffsetAndMetadata

from triptych.settings.kafka import KafkaSettings
from triptych.transport.assignment_changes import NO_PARTITIONS
from triptych.transport.errors import CommitRefusedError, RetriableError, TransportClosedError
from triptych.transport.kafka.consumer_client import (
    CLOSE_LIMIT_MS,
    REQUEST_LIMIT_MS,
    leaders_known,
    open_client,
    require_topics,
)
from triptych.transport.kafka.errors import translated, translating
from triptych.transport.kafka.log_ends import AppendedEnds
from triptych.transport.kafka.reader import POLL_SLICE_S, SEEK_LIMIT_S, KafkaReader, to_offsets
from triptych.transport.kafka.rebalance import RebalanceListener, theirs
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

LEASE_FRACTION = 2 / 3
"""The part of the session timeout for which a response of the group guarantees that nobody else owns our partitions.
The rest is for requests in flight."""


class KafkaGroupConsumer(KafkaReader):
    """A member of a consumer group (see `GroupConsumer`)."""

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[str],
        group: str,
        *,
        when_out_of_range: OutOfRangePolicy,
        hand_over_s: float = 0.0,
    ) -> None:
        client = open_client(settings, group=group)
        super().__init__(
            client,
            settings.bootstrap_servers,
            when_out_of_range=when_out_of_range,
            when_unreadable=settings.unreadable_batch,
        )
        self._group = group
        self._appended_ends = AppendedEnds(client)
        self._instance_id = settings.group_instance_id
        self._lease_s = settings.session_timeout_ms / 1_000 * LEASE_FRACTION
        self._listener = RebalanceListener(
            hand_over_s,
            membership=lambda: client.group_metadata()[1:3],
            request_rejoin=client._coordinator.request_rejoin,  # noqa: SLF001 - there is no public API
        )
        # The client's poll blocks during a revocation. On its own thread, it does not block the caller.
        self._poller = ThreadPoolExecutor(1, thread_name_prefix="kafka-poll")
        self._polling: Future[tuple[Record, ...]] | None = None
        coordinator = client._coordinator  # noqa: SLF001 - no public API exposes heartbeat responses
        coordinator._handle_heartbeat_response = self._listener.watch_heartbeats(coordinator._handle_heartbeat_response)  # noqa: SLF001 - as above
        self._client.subscribe(list(topics), listener=self._listener)
        # A client that joins before it has the topics' metadata may be assigned nothing until the metadata expire. If
        # it gets the metadata before it subscribes, it considers them changed at the next update, and joins twice.
        require_topics(client, topics)

    def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Query the offsets after the last records, including records that consumers cannot read yet."""
        with translating(f"asking the broker at {self._where} for end offsets"), leaders_known():
            return to_offsets(self._appended_ends.of([theirs(tp) for tp in tps], REQUEST_LIMIT_MS))

    def assignment(self) -> frozenset[TopicPartition]:
        """Return the assignment as of the last poll."""
        return self._listener.assignment

    def commit(self, offsets: Mapping[TopicPartition, Commit]) -> None:
        """Commit offsets, unless the partitions were reassigned."""
        if not offsets:
            return
        if not self._listener.assignment >= offsets.keys():
            raise CommitRefusedError("the group has reassigned these partitions; keep polling")
        stored = {theirs(tp): OffsetAndMetadata(commit.offset, commit.metadata, -1) for tp, commit in offsets.items()}
        with translating(f"committing for group {self._group} at {self._where}"):
            self._client.commit(stored, timeout_ms=REQUEST_LIMIT_MS)

    def committed(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, Commit | None]:
        """Query the group's committed offsets."""
        with translating(f"asking for the commits of group {self._group} at {self._where}"):
            return {
                tp: None if stored is None else Commit(int(stored.offset), stored.metadata or "")
                for tp, stored in self._stored(tps).items()
            }

    def rewind(self, tps: Iterable[TopicPartition]) -> None:
        """Seek to the committed offsets, or to the beginning."""
        tps = tuple(tps)
        stored = self.committed(tps)
        unread = [tp for tp, commit in stored.items() if commit is None]
        begins = self.begin_offsets(unread) if unread else {}
        for tp, commit in stored.items():
            self.seek(tp, begins[tp] if commit is None else commit.offset)

    def group_offsets(self, offsets: Mapping[TopicPartition, int]) -> GroupOffsets:
        """Return what a transaction commits, with the membership of the last poll."""
        member = Membership(self._group, *self._listener.membership, self._instance_id)
        return GroupOffsets(member, {tp: Commit(offset) for tp, offset in offsets.items()})

    def is_confirmed(self) -> bool:
        """Return whether the group has answered a join or a heartbeat recently, and has reported nothing else since.

        A heartbeat counts from when it was sent: its response may have waited in the socket while this process was
        stalled.
        """
        heartbeat = self._client._coordinator.heartbeat  # noqa: SLF001 - there is no public API
        answered_s = heartbeat.last_send if heartbeat.last_send <= heartbeat.last_receive else float("-inf")
        confirmed_s = max(self._listener.joined_s, answered_s)
        return self._listener.is_current and time.monotonic() - confirmed_s < self._lease_s

    def complete_revocation(self) -> None:
        """Let the group continue the rebalance."""
        self._listener.complete_revocation()

    def close(self) -> None:
        """Leave the group, unless this is a static member."""
        self._listener.close(CLOSE_LIMIT_MS / 1_000)
        self._poller.shutdown()
        super().close()

    def _poll_once(self, timeout_s: float) -> tuple[Record, ...]:
        """Poll, or wait for a poll that is still running."""
        if self.closed:
            raise TransportClosedError("this consumer is closed")
        if self._listener.fenced is not None:
            raise translated(self._listener.fenced, f"being a member of group {self._group} at {self._where}")
        continues = self._polling is not None
        polling = self._polling or self._poller.submit(self._poll_client, timeout_s)
        self._listener.wait_for(polling, timeout_s, continues=continues)
        self._polling = None if polling.done() else polling
        return polling.result() if polling.done() else ()

    def _poll_client(self, timeout_s: float) -> tuple[Record, ...]:
        """Poll once; poll a join to its end.

        The client forgets a join response that arrives between two polls, and joins again. Then all members would have
        to revoke again.
        """
        records = super()._poll_once(timeout_s)
        while self._listener.is_joining:
            records += super()._poll_once(POLL_SLICE_S)
        return records

    def _with_assignment_changes(self, records: tuple[Record, ...]) -> Poll:
        if self._polling is not None:
            return self._listener.take(NO_PARTITIONS)
        assigned, rewound = self._listener.assigned, self._listener.to_rewind
        if not self._rewind(rewound):
            self._listener.rewind(assigned)
            assigned = NO_PARTITIONS
        changes = self._listener.take(assigned)
        current = self._listener.assignment - rewound
        kept = tuple(record for record in records if record.tp in current)
        return replace(changes, records=kept, out_of_range=self._take_out_of_range(), unreadable=self._guard.take())

    def _rewind(self, tps: frozenset[TopicPartition]) -> bool:
        """Seek to the committed offsets; return whether they are known. If not, the next poll tries again.

        If the group reassigns a partition that it has just revoked, the client would continue at its old position.
        """
        if not tps:
            return True
        try:
            with translating(f"asking for the commits of group {self._group} at {self._where}"):
                stored = self._stored(tps, SEEK_LIMIT_S * 1_000)
            unread = [tp for tp, commit in stored.items() if commit is None]
            begins = self.begin_offsets(unread) if unread else {}
        except RetriableError as error:
            log.warning("kafka_position_unknown", error=str(error))
            return False
        for tp, commit in stored.items():
            self.seek(tp, begins[tp] if commit is None else commit.offset)
        self.resume(tps)
        return True

    def _stored(
        self, tps: Iterable[TopicPartition], limit_ms: float = REQUEST_LIMIT_MS
    ) -> dict[TopicPartition, OffsetAndMetadata | None]:
        """Query the commits of all these partitions with one request; the client's own method takes one partition."""
        wanted = {tp: theirs(tp) for tp in tps}
        coordinator = self._client._coordinator  # noqa: SLF001 - there is no public way
        found = coordinator.fetch_committed_offsets(list(wanted.values()), timeout_ms=limit_ms)
        return {tp: found.get(at) for tp, at in wanted.items()}
