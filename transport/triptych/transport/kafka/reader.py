"""Reading from Kafka: by hand, or as a member of a group.

The client's own policy for missing offsets is off: it would jump in silence. Its polls are never bounded by a number
of records, since a poll that leaves fetched records behind strands partitions that are paused just then (kafka-python
up to 3.0.12 at least); they are bounded by the bytes of a fetch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Self

import structlog
from kafka import KafkaConsumer, errors
from kafka import TopicPartition as KafkaTopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.structs import OffsetAndMetadata

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import (
    BrokerUnavailableError,
    CommitRefusedError,
    OffsetGoneError,
    RetriableError,
    TopicMissingError,
    TransportClosedError,
    TransportError,
)
from triptych.transport.kafka.connect import CONNECT_LIMIT_MS, connect
from triptych.transport.kafka.errors import translated, translating
from triptych.transport.kafka.log_ends import LogEnds
from triptych.transport.kafka.rebalance import NOTHING, RebalanceNotes, ours, theirs
from triptych.transport.records import (
    Commit,
    GroupOffsets,
    Membership,
    OffsetOutOfRange,
    OutOfRangePolicy,
    Poll,
    Record,
    TopicPartition,
)
from triptych.transport.watchdog import within
from triptych.units import NS_PER_MS

log = structlog.get_logger(__name__)

REQUEST_LIMIT_MS = 10_000
"""How long one question to the broker may take before it counts as away."""
CLOSE_LIMIT_MS = 5_000
SLICE_S = 0.25
"""The client's poll goes on waiting for records after a rebalance; in slices of this the news come out."""
PLACING_LIMIT_S = 0.25
"""A poll may take this much longer when it has to ask where a partition begins, else `poll(0)` never got there."""
RETRY_S = 0.1
"""A pause after a failure that may pass, so that failing is no spin."""
LEASE_SHARE = 2 / 3
"""Of the session time-out: for so long after an answer of the group nobody else can have our partitions. What is under
way takes the rest."""
FETCH_BYTES = 4 << 20
PARTITION_FETCH_BYTES = 512 << 10
"""The client holds an answer while the next one is under way, and a share of each paused partition, all beyond our own
bound: with four times as much, a worker was seen to hold twice its bound. A larger record is delivered all the same."""


class KafkaReader:
    """Read partitions chosen by hand (see `Reader`)."""

    def __init__(self, client: KafkaConsumer, where: str, *, when_out_of_range: OutOfRangePolicy) -> None:
        self._client = client
        self._where = where
        self._when_out_of_range = when_out_of_range
        self._out_of_range: list[OffsetOutOfRange] = []
        self.closed = False

    @classmethod
    def open(
        cls, settings: KafkaSettings, start: Mapping[TopicPartition, int], *, when_out_of_range: OutOfRangePolicy
    ) -> Self:
        """Connect and stand at the given offsets."""
        client = open_client(settings, group=None)
        require_topics(client, {tp.topic for tp in start})
        reader = cls(client, settings.bootstrap_servers, when_out_of_range=when_out_of_range)
        reader._client.assign([theirs(tp) for tp in start])
        for tp, offset in start.items():
            reader.seek(tp, offset)
        return reader

    def poll(self, timeout_s: float) -> Poll:
        """Return what there is, waiting no longer than the time-out for something."""
        deadline = time.monotonic() + timeout_s
        while True:
            remaining_s = max(0.0, deadline - time.monotonic())
            records = self._poll_once(min(remaining_s, SLICE_S))
            found = self._with_changes(records)
            if found != Poll() or time.monotonic() >= deadline:
                return found

    def position(self, tp: TopicPartition) -> int:
        """Return the offset to be read next."""
        if theirs(tp) not in self._client.assignment():
            raise ValueError(f"{tp} is not assigned")
        with translating(f"asking the broker at {self._where} where to read {tp.topic} {tp.partition}"):
            try:
                offset = self._client.position(theirs(tp), timeout_ms=REQUEST_LIMIT_MS)
            except errors.NoOffsetForPartitionError as missing:
                self._place_at_begin(missing.args[0], REQUEST_LIMIT_MS)
                offset = self._client.position(theirs(tp), timeout_ms=REQUEST_LIMIT_MS)
        if offset is None:
            raise BrokerUnavailableError(f"no broker at {self._where} said where to read {tp.topic} {tp.partition}")
        return int(offset)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Go on reading at `offset`."""
        if theirs(tp) not in self._client.assignment():
            raise ValueError(f"{tp} is not assigned")
        self._client.seek(theirs(tp), offset)

    def pause(self, tps: Iterable[TopicPartition]) -> None:
        """Return no more records of these."""
        self._client.pause(*self._owned(tps))

    def resume(self, tps: Iterable[TopicPartition]) -> None:
        """Return records of these again."""
        self._client.resume(*self._owned(tps))

    def begin_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Ask for the first offsets still in the log."""
        with translating(f"asking the broker at {self._where} for begin offsets"), _leaders_known():
            return _named(self._client.beginning_offsets([theirs(tp) for tp in tps], timeout_ms=REQUEST_LIMIT_MS))

    def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Ask for the offsets after the last records; nothing that was fetched before is believed."""
        with translating(f"asking the broker at {self._where} for end offsets"), _leaders_known():
            return _named(self._client.end_offsets([theirs(tp) for tp in tps], timeout_ms=REQUEST_LIMIT_MS))

    def offsets_for_times(self, times_ns: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Ask for the first offsets appended at or after the times."""
        # The end is asked first: a record that comes in between is then found at its offset, not passed over.
        ends = self.end_offsets(times_ns)
        times_ms = {theirs(tp): max(0, -(-time_ns // NS_PER_MS)) for tp, time_ns in times_ns.items()}
        with translating(f"asking the broker at {self._where} for offsets by time"):
            found = self._client.offsets_for_times(times_ms, timeout_ms=REQUEST_LIMIT_MS)
        return {tp: end if (at := found.get(theirs(tp))) is None else int(at.offset) for tp, end in ends.items()}

    def close(self) -> None:
        """Let go of the connection."""
        if not self.closed:
            self.closed = True
            with translating(f"closing the consumer at {self._where}"):
                close_client(self._client)

    def _poll_once(self, timeout_s: float) -> tuple[Record, ...]:
        if self.closed:
            raise TransportClosedError("this consumer is closed")
        try:
            batches = self._client.poll(timeout_ms=timeout_s * 1_000)
        except errors.NoOffsetForPartitionError as missing:
            self._place(partial(self._place_at_begin, missing.args[0]), timeout_s)
        except errors.OffsetOutOfRangeError as outside:
            self._place(partial(self._jump, outside.args[0]), timeout_s)
        except errors.RetriableError as error:
            log.warning("kafka.poll_failed", error=repr(error))
            time.sleep(min(timeout_s, RETRY_S))
        except errors.KafkaError as error:
            raise translated(error, f"reading from the broker at {self._where}") from error
        else:
            return tuple(_record(record) for batch in batches.values() for record in batch)
        return ()

    def _with_changes(self, records: tuple[Record, ...]) -> Poll:
        return Poll(records, out_of_range=self._take_out_of_range())

    def _take_out_of_range(self) -> tuple[OffsetOutOfRange, ...]:
        gone, self._out_of_range = tuple(self._out_of_range), []
        return gone

    def _owned(self, tps: Iterable[TopicPartition]) -> list[KafkaTopicPartition]:
        assigned = self._client.assignment()
        return [tp for tp in map(theirs, tps) if tp in assigned]

    def _place(self, place: Callable[[float], None], timeout_s: float) -> None:
        """Try to give partitions a position; a broker that is away is asked again by the next poll."""
        try:
            place(max(timeout_s, PLACING_LIMIT_S) * 1_000)
        except errors.RetriableError as error:
            log.warning("kafka.no_position", error=repr(error))
            time.sleep(min(timeout_s, RETRY_S))

    def _place_at_begin(self, tps: Iterable[KafkaTopicPartition], limit_ms: float) -> None:
        for tp, offset in self._client.beginning_offsets(list(tps), timeout_ms=limit_ms).items():
            self._client.seek(tp, offset)

    def _jump(self, wanted: Mapping[KafkaTopicPartition, int], limit_ms: float) -> None:
        begins = self._client.beginning_offsets(list(wanted), timeout_ms=limit_ms)
        ends = self._client.end_offsets(list(wanted), timeout_ms=limit_ms)
        for tp, offset in wanted.items():
            if self._when_out_of_range == "stop":
                raise OffsetGoneError(
                    f"{tp.topic} {tp.partition}: offset {offset} is outside {begins[tp]} to {ends[tp]}: retention "
                    "deleted what was not read yet. TRIPTYCH_KAFKA_OFFSET_GONE=earliest goes on with what is left"
                )
            resumed = begins[tp] if self._when_out_of_range == "earliest" else ends[tp]
            self._client.seek(tp, resumed)
            self._out_of_range.append(OffsetOutOfRange(ours(tp), int(offset), int(resumed)))
            log.error("kafka.offset_gone", topic=tp.topic, partition=tp.partition, wanted=offset, resumed=resumed)


class KafkaGroupConsumer(KafkaReader):
    """Read what a group assigns (see `GroupConsumer`)."""

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
        super().__init__(client, settings.bootstrap_servers, when_out_of_range=when_out_of_range)
        self._group = group
        self._log_ends = LogEnds(client)
        self._instance_id = settings.group_instance_id
        self._lease_s = settings.session_timeout_ms / 1_000 * LEASE_SHARE
        self._notes = RebalanceNotes(
            hand_over_s,
            membership=lambda: client.group_metadata()[1:3],
            insist=client._coordinator.request_rejoin,  # noqa: SLF001 - there is no public way
        )
        # The client's poll waits while partitions are handed over; on a thread of its own it leaves the caller's free.
        self._poller = ThreadPoolExecutor(1, thread_name_prefix="kafka-poll")
        self._polling: Future[tuple[Record, ...]] | None = None
        coordinator = client._coordinator  # noqa: SLF001 - nothing public says what a heartbeat was answered
        coordinator._handle_heartbeat_response = self._notes.hearing(coordinator._handle_heartbeat_response)  # noqa: SLF001 - as above
        self._client.subscribe(list(topics), listener=self._notes)
        # A client that joins before it knows the topics may be assigned nothing, for as long as its metadata live. One
        # that learned of them before it subscribed takes them for changed when it hears of them again, and joins twice.
        require_topics(client, topics)

    def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Ask for the offsets after the last records, those included that the broker does not show yet."""
        with translating(f"asking the broker at {self._where} for end offsets"), _leaders_known():
            return _named(self._log_ends.of([theirs(tp) for tp in tps], REQUEST_LIMIT_MS))

    def assignment(self) -> frozenset[TopicPartition]:
        """Return what the last poll left assigned."""
        return self._notes.assignment

    def commit(self, offsets: Mapping[TopicPartition, Commit]) -> None:
        """Store offsets, unless the partitions are another's by now."""
        if not offsets:
            return
        if not self._notes.assignment >= offsets.keys():
            raise CommitRefusedError("the group has given these partitions away; keep polling")
        stored = {theirs(tp): OffsetAndMetadata(commit.offset, commit.metadata, -1) for tp, commit in offsets.items()}
        with translating(f"committing for group {self._group} at {self._where}"):
            self._client.commit(stored, timeout_ms=REQUEST_LIMIT_MS)

    def committed(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, Commit | None]:
        """Ask what the group has committed."""
        with translating(f"asking for the commits of group {self._group} at {self._where}"):
            return {
                tp: None if (stored := self._stored(tp)) is None else Commit(int(stored.offset), stored.metadata or "")
                for tp in tps
            }

    def rewind(self, tps: Iterable[TopicPartition]) -> None:
        """Go back to where the group committed."""
        tps = tuple(tps)
        stored = self.committed(tps)
        unread = [tp for tp, commit in stored.items() if commit is None]
        begins = self.begin_offsets(unread) if unread else {}
        for tp, commit in stored.items():
            self.seek(tp, begins[tp] if commit is None else commit.offset)

    def group_offsets(self, offsets: Mapping[TopicPartition, int]) -> GroupOffsets:
        """Return what a transaction stores, in the name of what the last poll left."""
        member = Membership(self._group, *self._notes.membership, self._instance_id)
        return GroupOffsets(member, {tp: Commit(offset) for tp, offset in offsets.items()})

    def is_confirmed(self) -> bool:
        """Whether the group has answered a join or a heartbeat of late, and has told nothing else since.

        A heartbeat counts from when it was sent: its answer may have lain in the socket while we stood still.
        """
        heartbeat = self._client._coordinator.heartbeat  # noqa: SLF001 - there is no public way
        answered_s = heartbeat.last_send if heartbeat.last_send <= heartbeat.last_receive else float("-inf")
        confirmed_s = max(self._notes.joined_s, answered_s)
        return self._notes.is_undisturbed and time.monotonic() - confirmed_s < self._lease_s

    def complete_revocation(self) -> None:
        """Let the group go on with a rebalance."""
        self._notes.complete_revocation()

    def close(self) -> None:
        """Leave the group, unless this is a static member."""
        self._notes.close(CLOSE_LIMIT_MS / 1_000)
        self._poller.shutdown()
        super().close()

    def _poll_once(self, timeout_s: float) -> tuple[Record, ...]:
        """Poll, or wait for a poll that goes on from before."""
        if self.closed:
            raise TransportClosedError("this consumer is closed")
        if self._notes.fenced is not None:
            raise translated(self._notes.fenced, f"being a member of group {self._group} at {self._where}")
        goes_on = self._polling is not None
        polling = self._polling or self._poller.submit(self._poll_client, timeout_s)
        self._notes.wait_for(polling, timeout_s, goes_on=goes_on)
        self._polling = None if polling.done() else polling
        return polling.result() if polling.done() else ()

    def _poll_client(self, timeout_s: float) -> tuple[Record, ...]:
        """Poll once; a join is polled to its end.

        The client forgets an answer that comes between two polls, and joins anew: all others would hand over again.
        """
        records = super()._poll_once(timeout_s)
        while self._notes.is_joining:
            records += super()._poll_once(SLICE_S)
        return records

    def _with_changes(self, records: tuple[Record, ...]) -> Poll:
        if self._polling is not None:
            return self._notes.take(NOTHING)
        assigned, rewound = self._notes.assigned, self._notes.to_rewind
        if not self._rewind(rewound):
            self._notes.rewind(assigned)
            assigned = NOTHING
        changes = self._notes.take(assigned)
        mine = self._notes.assignment - rewound
        kept = tuple(record for record in records if record.tp in mine)
        return Poll(kept, changes.assigned, changes.revoked, changes.lost, self._take_out_of_range(), changes.revoking)

    def _rewind(self, tps: frozenset[TopicPartition]) -> bool:
        """Go back to where the group committed: the client goes on where it stood in what the group gives back at once.

        Tells whether the broker said where that is; the next poll asks again.
        """
        if not tps:
            return True
        try:
            with translating(f"asking for the commits of group {self._group} at {self._where}"):
                stored = {tp: self._stored(tp, PLACING_LIMIT_S * 1_000) for tp in tps}
            unread = [tp for tp, commit in stored.items() if commit is None]
            begins = self.begin_offsets(unread) if unread else {}
        except RetriableError as error:
            log.warning("kafka.no_position", error=str(error))
            return False
        for tp, commit in stored.items():
            self.seek(tp, begins[tp] if commit is None else commit.offset)
        self.resume(tps)
        return True

    def _stored(self, tp: TopicPartition, limit_ms: float = REQUEST_LIMIT_MS) -> OffsetAndMetadata | None:
        return self._client.committed(theirs(tp), metadata=True, timeout_ms=limit_ms)


def open_client(settings: KafkaSettings, *, group: str | None) -> KafkaConsumer:
    """Open a client as all our reading wants it."""
    return connect(
        KafkaConsumer,
        settings,
        group_id=group,
        auto_offset_reset="none",
        enable_auto_commit=False,
        isolation_level="read_committed",
        partition_assignment_strategy=[RangePartitionAssignor()],
        max_poll_records=1_000_000,
        fetch_max_bytes=FETCH_BYTES,
        max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        fetch_max_wait_ms=100,
        group_instance_id=settings.group_instance_id if group else None,
        max_poll_interval_ms=settings.max_poll_interval_ms,
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=min(3_000, settings.session_timeout_ms // 3),
        allow_auto_create_topics=False,
        metrics_enabled=False,
    )


def require_topics(client: KafkaConsumer, topics: Iterable[str]) -> None:
    """Close the client and raise `TopicMissingError` unless all these topics exist.

    A broker that has just come back answers that there are no brokers, until the controller counts it in again: it is
    asked until then, as long as any other is looked for.
    """
    topics = tuple(topics)
    deadline_s = time.monotonic() + CONNECT_LIMIT_MS / 1_000
    try:
        while (missing := _missing(client, topics)) is None:
            if time.monotonic() > deadline_s:
                raise BrokerUnavailableError("asking the broker for its topics: it says that there are no brokers")
            time.sleep(RETRY_S)
        if missing:
            raise TopicMissingError(
                f"no such topic: {', '.join(missing)}; `triptych topics create` makes them (where a broker has "
                "access rules, a topic that we may not describe looks the same)"
            )
    except TransportError:
        close_client(client)
        raise


def _missing(client: KafkaConsumer, topics: Sequence[str]) -> list[str] | None:
    """Return which topics are not there; None where the broker knows of no broker at all."""

    def ask() -> list[str] | None:
        try:
            return [topic for topic in topics if not client.partitions_for_topic(topic)]
        except errors.MetadataEmptyBrokerList:
            return None

    with translating("asking the broker for its topics"):
        return within(REQUEST_LIMIT_MS / 1_000, "asking the broker for its topics", ask)


@contextmanager
def _leaders_known() -> Iterator[None]:
    """Let a question wait for leaders: the client leaves out partitions that have none, and then looks for them."""
    try:
        yield
    except KeyError as missing:
        raise BrokerUnavailableError(f"{missing.args[0]} has no leader now") from None


def close_client(client: KafkaConsumer) -> None:
    """Close a client; one that is still not closed after twice its limit is left behind."""
    with suppress(BrokerUnavailableError):  # its threads end with the process
        within(
            2 * CLOSE_LIMIT_MS / 1_000,
            "closing a consumer",
            lambda: client.close(autocommit=False, timeout_ms=CLOSE_LIMIT_MS),
        )


def _record(record: Any) -> Record:  # noqa: ANN401 - the client is untyped
    headers = tuple((name, content or b"") for name, content in record.headers)
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp * NS_PER_MS,
        record.key,
        record.value or b"",
        headers,
    )


def _named(offsets: Mapping[KafkaTopicPartition, int]) -> dict[TopicPartition, int]:
    return {ours(tp): int(offset) for tp, offset in offsets.items()}
