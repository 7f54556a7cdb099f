"""Read partitions from Kafka without a consumer group (see `Reader`).

The client's own policy for missing offsets is disabled: it would skip records without telling us. Polls are bounded by
the bytes of a fetch, never by a number of records: a poll that leaves fetched records behind strands partitions that
are paused at that moment (kafka-python up to 3.0.12 at least).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Self

import structlog
from kafka import KafkaConsumer, errors
from kafka import TopicPartition as KafkaTopicPartition

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import (
    BrokerUnavailableError,
    OffsetOutOfRangeError,
    TransportClosedError,
    UnreadableBatchError,
)
from triptych.transport.kafka.consumer_client import (
    REQUEST_LIMIT_MS,
    RETRY_DELAY_S,
    close_client,
    leaders_known,
    open_client,
    require_topics,
)
from triptych.transport.kafka.errors import BROKER_AWAY, translated, translating
from triptych.transport.kafka.rebalance import ours, theirs
from triptych.transport.kafka.unreadable import BatchGuard
from triptych.transport.records import (
    OffsetOutOfRange,
    OutOfRangePolicy,
    Poll,
    Record,
    TopicPartition,
    UnreadablePolicy,
)
from triptych.units import NS_PER_MS

log = structlog.get_logger(__name__)

POLL_SLICE_S = 0.25
"""After a rebalance the client's poll keeps waiting for records. Polling in slices of this length reports it
earlier."""
_DELETED = "retention deleted records before they were read"
_BEYOND = "the log ends before it: the topic was created again, or its log was truncated"
SEEK_LIMIT_S = 0.25
"""The time that a poll may add to look up where a partition begins. Without it `poll(0)` would never get there."""


class KafkaReader:
    """Reads explicitly assigned partitions (see `Reader`)."""

    def __init__(
        self,
        client: KafkaConsumer,
        where: str,
        *,
        when_out_of_range: OutOfRangePolicy,
        when_unreadable: UnreadablePolicy,
    ) -> None:
        self._client = client
        self._where = where
        self._when_out_of_range = when_out_of_range
        self._out_of_range: list[OffsetOutOfRange] = []
        self._guard = BatchGuard(client, when_unreadable)
        self.closed = False

    @classmethod
    def open(
        cls, settings: KafkaSettings, start: Mapping[TopicPartition, int], *, when_out_of_range: OutOfRangePolicy
    ) -> Self:
        """Connect and seek to the given offsets."""
        client = open_client(settings, group=None)
        require_topics(client, {tp.topic for tp in start})
        reader = cls(
            client,
            settings.bootstrap_servers,
            when_out_of_range=when_out_of_range,
            when_unreadable=settings.unreadable_batch,
        )
        reader._client.assign([theirs(tp) for tp in start])
        for tp, offset in start.items():
            reader.seek(tp, offset)
        return reader

    def poll(self, timeout_s: float) -> Poll:
        """Return what is available. Wait up to `timeout_s` for something."""
        deadline = time.monotonic() + timeout_s
        while True:
            remaining_s = max(0.0, deadline - time.monotonic())
            records = self._poll_once(min(remaining_s, POLL_SLICE_S))
            found = self._with_assignment_changes(records)
            if found != Poll() or time.monotonic() >= deadline:
                return found

    def position(self, tp: TopicPartition) -> int:
        """Return the offset of the next record to read."""
        # Of a known position the client's own call asks nothing, but it looks at every partition.
        state = self._client._subscription.assignment.get(theirs(tp))  # noqa: SLF001 - there is no public way
        if state is None:
            raise ValueError(f"{tp} is not assigned")
        if (known := state.position) is not None and not state._awaiting_validation:  # noqa: SLF001 - as above
            return int(known.offset)
        with translating(f"asking the broker at {self._where} where to read {tp.topic} {tp.partition}"):
            try:
                offset = self._client.position(theirs(tp), timeout_ms=REQUEST_LIMIT_MS)
            except errors.NoOffsetForPartitionError as missing:
                self._seek_to_begin(missing.args[0], REQUEST_LIMIT_MS)
                offset = self._client.position(theirs(tp), timeout_ms=REQUEST_LIMIT_MS)
            except errors.LogTruncationError as truncated:
                self._leave_to_poll(truncated)
                offset = self._position_before_truncation(theirs(tp))
        if offset is None:
            raise BrokerUnavailableError(f"no broker at {self._where} answered where to read {tp.topic} {tp.partition}")
        return int(offset)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Continue reading at `offset`."""
        if theirs(tp) not in self._client.assignment():
            raise ValueError(f"{tp} is not assigned")
        self._client.seek(theirs(tp), offset)
        self._guard.forget(tp)

    def pause(self, tps: Iterable[TopicPartition]) -> None:
        """Stop returning records of these partitions."""
        self._client.pause(*self._assigned_of(tps))

    def resume(self, tps: Iterable[TopicPartition]) -> None:
        """Return records of these partitions again."""
        self._client.resume(*self._assigned_of(tp for tp in tps if tp not in self._guard.stopped))

    def begin_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Query the first offsets still in the log."""
        with translating(f"asking the broker at {self._where} for begin offsets"), leaders_known():
            return to_offsets(self._client.beginning_offsets([theirs(tp) for tp in tps], timeout_ms=REQUEST_LIMIT_MS))

    def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Query the offsets after the last records. Never uses cached values."""
        with translating(f"asking the broker at {self._where} for end offsets"), leaders_known():
            return to_offsets(self._client.end_offsets([theirs(tp) for tp in tps], timeout_ms=REQUEST_LIMIT_MS))

    def offsets_for_times(self, times_ns: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Query the first offsets appended at or after the given times."""
        # Query the end first: a record appended in between is then found at its offset instead of being skipped.
        ends = self.end_offsets(times_ns)
        times_ms = {theirs(tp): max(0, -(-time_ns // NS_PER_MS)) for tp, time_ns in times_ns.items()}
        with translating(f"asking the broker at {self._where} for offsets by time"):
            found = self._client.offsets_for_times(times_ms, timeout_ms=REQUEST_LIMIT_MS)
        return {tp: end if (at := found.get(theirs(tp))) is None else int(at.offset) for tp, end in ends.items()}

    def close(self) -> None:
        """Close the connections."""
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
            self._seek_when_known(partial(self._seek_to_begin, missing.args[0]), timeout_s)
        except errors.OffsetOutOfRangeError as outside:
            self._seek_when_known(partial(self._seek_into_range, outside.args[0]), timeout_s)
        except errors.LogTruncationError as truncated:
            self._seek_when_known(partial(self._seek_behind_truncation, truncated.divergent_offsets), timeout_s)
        except BROKER_AWAY as error:
            log.warning("kafka_poll_failed", error=repr(error))
            time.sleep(min(timeout_s, RETRY_DELAY_S))
        except errors.KafkaError as error:
            raise translated(error, f"reading from the broker at {self._where}") from error
        else:
            return tuple(_record(record) for batch in batches.values() for record in batch)
        return ()

    def _with_assignment_changes(self, records: tuple[Record, ...]) -> Poll:
        if not records:
            for stopped in self._guard.stopped.values():
                raise UnreadableBatchError(stopped)
        return Poll(records, out_of_range=self._take_out_of_range(), unreadable=self._guard.take())

    def _take_out_of_range(self) -> tuple[OffsetOutOfRange, ...]:
        jumps, self._out_of_range = tuple(self._out_of_range), []
        return jumps

    def _assigned_of(self, tps: Iterable[TopicPartition]) -> list[KafkaTopicPartition]:
        assigned = self._client.assignment()
        return [tp for tp in map(theirs, tps) if tp in assigned]

    def _seek_when_known(self, seek: Callable[[float], None], timeout_s: float) -> None:
        """Look up positions and seek. If the broker is unavailable, the next poll tries again."""
        try:
            seek(max(timeout_s, SEEK_LIMIT_S) * 1_000)
        except BROKER_AWAY as error:
            log.warning("kafka_position_unknown", error=repr(error))
            time.sleep(min(timeout_s, RETRY_DELAY_S))

    def _seek_to_begin(self, tps: Iterable[KafkaTopicPartition], limit_ms: float) -> None:
        for tp, offset in self._client.beginning_offsets(list(tps), timeout_ms=limit_ms).items():
            self._client.seek(tp, offset)

    def _seek_into_range(self, wanted: Mapping[KafkaTopicPartition, int], limit_ms: float) -> None:
        begins = self._client.beginning_offsets(list(wanted), timeout_ms=limit_ms)
        ends = self._client.end_offsets(list(wanted), timeout_ms=limit_ms)
        for tp, offset in wanted.items():
            cause = _BEYOND if offset > ends[tp] else _DELETED
            if self._when_out_of_range == "stop":
                raise OffsetOutOfRangeError(
                    f"{tp.topic} {tp.partition}: offset {offset} is outside {begins[tp]} to {ends[tp]}: {cause}. "
                    "TRIPTYCH_KAFKA_OFFSET_GONE=earliest continues with the rest"
                )
            self._jump(tp, offset, begins[tp] if self._when_out_of_range == "earliest" else ends[tp], cause)

    def _seek_behind_truncation(self, divergent: Mapping[KafkaTopicPartition, Any], limit_ms: float) -> None:
        """Continue where the log was cut, by the same policy. Without that place, the log counts as another one."""
        begins = self._client.beginning_offsets(list(divergent), timeout_ms=limit_ms)
        ends = self._client.end_offsets(list(divergent), timeout_ms=limit_ms)
        for tp, cut in divergent.items():
            position = self._position_before_truncation(tp)
            wanted = begins[tp] if position is None else position
            if self._when_out_of_range == "stop":
                raise OffsetOutOfRangeError(
                    f"{tp.topic} {tp.partition}: the log was truncated before offset {wanted}. "
                    "TRIPTYCH_KAFKA_OFFSET_GONE=earliest continues where it was cut"
                )
            earliest = begins[tp] if cut is None else cut.offset
            self._jump(tp, wanted, earliest if self._when_out_of_range == "earliest" else ends[tp], _BEYOND)

    def _leave_to_poll(self, truncated: errors.LogTruncationError) -> None:
        """Make the next poll raise an error that the client raises once, from whatever is called first."""
        fetcher = self._client._fetcher  # noqa: SLF001 - nothing public keeps it
        if fetcher._cached_log_truncation is not None:  # noqa: SLF001 - as above
            truncated.divergent_offsets.update(fetcher._cached_log_truncation.divergent_offsets)  # noqa: SLF001
        fetcher._cached_log_truncation = truncated  # noqa: SLF001 - as above

    def _position_before_truncation(self, tp: KafkaTopicPartition) -> int | None:
        state = self._client._subscription.assignment.get(tp)  # noqa: SLF001 - position() would raise the error again
        return None if state is None or state.position is None else int(state.position.offset)

    def _jump(self, tp: KafkaTopicPartition, offset: int, resumed: int, cause: str) -> None:
        self._client.seek(tp, resumed)
        self._out_of_range.append(OffsetOutOfRange(ours(tp), int(offset), int(resumed)))
        log.error(
            "kafka_offset_out_of_range",
            topic=tp.topic,
            partition=tp.partition,
            wanted=offset,
            resumed=resumed,
            cause=cause,
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


def to_offsets(offsets: Mapping[KafkaTopicPartition, int]) -> dict[TopicPartition, int]:
    """Return the client's offsets by our partitions."""
    return {ours(tp): int(offset) for tp, offset in offsets.items()}
