"""Read on after a batch that the client cannot read: a checksum that is wrong, a codec, a broken record.

Left alone, the client raises out of `poll`, and then spins forever in the poll after that (kafka-python up to 3.0.12 at
least), so one batch stops every partition. Here such a batch is reported with its topic, partition and offsets, and by
policy it is skipped, or stops its partition alone.
"""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import structlog
from kafka import KafkaConsumer, errors
from kafka import TopicPartition as KafkaTopicPartition
from kafka.consumer.fetcher import Fetcher

from triptych.transport.kafka.consumer_client import RETRY_DELAY_S
from triptych.transport.kafka.rebalance import ours
from triptych.transport.records import TopicPartition, Unreadable, UnreadablePolicy

log = structlog.get_logger(__name__)

_PARTITION_ERRORS: Final = (errors.CorruptRecordError, errors.UnknownError)
"""The broker's own errors about one partition, which the client raises out of `poll`."""


class BatchGuard:
    """Watches what one consumer client reads. Belongs to the thread that polls, except `take` and `stopped`."""

    def __init__(self, client: KafkaConsumer, policy: UnreadablePolicy) -> None:
        """Patch the client: it has no hook for this."""
        self.stopped: dict[TopicPartition, Unreadable] = {}
        """The partitions that the policy has stopped, with the reason."""
        self._skips = policy == "skip"
        self._found: deque[Unreadable] = deque()
        self._last: dict[KafkaTopicPartition, Unreadable] = {}
        self._subscriptions = client._subscription  # noqa: SLF001 - there is no public way
        fetcher = client._fetcher  # noqa: SLF001 - as above
        self._parse = fetcher._parse_fetched_data  # noqa: SLF001 - as above
        fetcher._parse_fetched_data = self._parse_guarded  # noqa: SLF001 - as above
        fetcher.PartitionRecords = self._partition_records

    def take(self) -> tuple[Unreadable, ...]:
        """Return what was found since the last call."""
        found = []
        while self._found:
            found.append(self._found.popleft())
        return tuple(found)

    def forget(self, tp: TopicPartition) -> None:
        """Read a stopped partition again: it is read from another offset, or was assigned anew."""
        self.stopped.pop(tp, None)

    def report(self, tp: KafkaTopicPartition, offset: int, next_offset: int, error: Exception) -> int:
        """Report a span that cannot be read, and return where to continue: behind it, or at it if that is the policy.

        A span that continues the one before is logged once.
        """
        unreadable = Unreadable(ours(tp), offset, next_offset, _reason(error), stopped=not self._skips)
        before = self._last.get(tp)
        self._last[tp] = unreadable
        is_new = before is None or offset != before.next_offset or unreadable.reason != before.reason
        if is_new and before != unreadable:
            _log_unreadable(unreadable, "skipped" if self._skips else "partition stopped")
        self._found.append(unreadable)
        if self._skips:
            return next_offset
        self.stopped[ours(tp)] = unreadable
        self._subscriptions.pause(tp)
        return offset

    def high_water(self, tp: KafkaTopicPartition) -> int | None:
        """Return the end of a partition as of its last fetch."""
        state = self._subscriptions.assignment.get(tp)
        return None if state is None else state.highwater

    def _partition_records(self, *args: Any, **options: Any) -> _GuardedRecords:  # noqa: ANN401 - the client is untyped
        return _GuardedRecords(self, *args, **options)

    def _parse_guarded(self, fetched: Any) -> Any:  # noqa: ANN401 - the client is untyped
        """Parse one partition of a response, whose error, if it has one, may be the broker's."""
        tp, offset = fetched.topic_partition, fetched.fetched_offset
        try:
            return self._parse(fetched)
        except _PARTITION_ERRORS as error:
            self._step_over(tp, offset, error, may_pass=isinstance(error, errors.UnknownError))
        except (errors.OffsetOutOfRangeError, errors.AuthorizationError):
            raise
        except errors.KafkaError as error:  # a response from which no batch can be cut
            self._step_over(tp, offset, error, may_pass=False)
        return None

    def _step_over(self, tp: KafkaTopicPartition, offset: int, error: errors.KafkaError, *, may_pass: bool) -> None:
        """Continue behind the one offset that cannot be read; `may_pass`: the broker may answer next time."""
        if may_pass:
            unreadable = Unreadable(ours(tp), offset, offset, _reason(error), stopped=False)
            if self._last.get(tp) != unreadable:
                self._last[tp] = unreadable
                _log_unreadable(unreadable, "retried")
            time.sleep(RETRY_DELAY_S)
            return
        resumed = self.report(tp, offset, offset + 1, error)
        if resumed != offset and self._subscriptions.is_assigned(tp):
            self._subscriptions.seek(tp, resumed)


class _GuardedRecords(Fetcher.PartitionRecords):  # type: ignore[misc] # the client is untyped
    """The client's batches of one partition, of which some may be unreadable."""

    next_fetch_offset: int

    def __init__(self, guard: BatchGuard, *args: Any, **options: Any) -> None:  # noqa: ANN401 - the client is untyped
        self._guard = guard
        super().__init__(*args, **options)

    def _unpack_records(
        self,
        tp: KafkaTopicPartition,
        records: Any,  # noqa: ANN401 - the client is untyped
        key_deserializer: object,
        value_deserializer: object,
    ) -> Iterator[Any]:
        batches = _Batches(records)
        while True:
            try:
                yield from super()._unpack_records(tp, batches, key_deserializer, value_deserializer)
            except Exception as error:  # noqa: BLE001 - whatever a codec raises on hostile bytes concerns this batch only
                behind = _end_of(batches, self.next_fetch_offset, self._guard.high_water(tp))
                resumed = self._guard.report(tp, self.next_fetch_offset, behind, error)
                stops = resumed == self.next_fetch_offset or batches.last is None
                self.next_fetch_offset = max(self.next_fetch_offset, resumed)
                if stops:
                    self.drain()
                    return
            else:
                return


class _Batches:
    """Batches of a response, in order. Remembers the last one that was cut."""

    def __init__(self, records: Any) -> None:  # noqa: ANN401 - the client is untyped
        self._records = records
        self.last: Any = None

    def next_batch(self) -> Any:  # noqa: ANN401 - the client is untyped
        """Return the next batch, or None."""
        self.last = None
        self.last = self._records.next_batch()
        return self.last

    def following_offset(self) -> int | None:
        """Return the first offset of the batch after the last one, if the response has it."""
        following = self._records._next_slice  # noqa: SLF001 - there is no public way
        return None if following is None else int(struct.unpack_from(">q", following)[0])


def _end_of(batches: _Batches, position: int, high_water: int | None) -> int:
    """Return the offset behind a batch whose own words may be wrong; beyond `position` in any case."""
    claimed = getattr(batches.last, "next_offset", position + 1)
    following = batches.following_offset()
    if following is not None and following > position:
        return min(claimed, following) if claimed > position else following
    if claimed > position and (high_water is None or claimed <= high_water):
        return int(claimed)
    return position + 1


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _log_unreadable(unreadable: Unreadable, action: str) -> None:
    log.error(
        "kafka_batch_unreadable",
        topic=unreadable.tp.topic,
        partition=unreadable.tp.partition,
        offset=unreadable.offset,
        next_offset=unreadable.next_offset,
        reason=unreadable.reason,
        action=action,
    )
