"""Read partitions from memory without a consumer group (see `Reader`)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from triptych.transport.errors import OffsetOutOfRangeError, TransportClosedError
from triptych.transport.memory.broker import MemoryBroker
from triptych.transport.memory.log import PartitionLog
from triptych.transport.records import OffsetOutOfRange, OutOfRangePolicy, Poll, Record, TopicPartition

POLL_BYTES = 16 << 20
PARTITION_POLL_BYTES = 1 << 20


class MemoryReader:
    """Reads explicitly assigned partitions (see `Reader`)."""

    def __init__(
        self, broker: MemoryBroker, start: Mapping[TopicPartition, int], *, when_out_of_range: OutOfRangePolicy
    ) -> None:
        self._broker = broker
        self._when_out_of_range = when_out_of_range
        self._positions = dict(start)
        self._paused: set[TopicPartition] = set()
        self._out_of_range: list[OffsetOutOfRange] = []
        self._closed = False
        for tp in start:
            broker.log(tp)
        self._registration = broker.open_reader(self._positions)

    def poll(self, timeout_s: float) -> Poll:
        """Return what is available. Wait up to `timeout_s` for something."""
        deadline = time.monotonic() + timeout_s
        with self._broker.changed:
            while True:
                self._check_open()
                found = Poll(records=self._take_records(), out_of_range=self._take_out_of_range())
                remaining_s = deadline - time.monotonic()
                if found.records or found.out_of_range or remaining_s <= 0:
                    return found
                self._registration.woken.wait(remaining_s)

    def position(self, tp: TopicPartition) -> int:
        """Return the offset of the next record to read."""
        self._check_assigned(tp)
        return self._positions[tp]

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Continue reading at `offset`."""
        with self._broker.changed:
            self._check_assigned(tp)
            self._positions[tp] = offset

    def pause(self, tps: Iterable[TopicPartition]) -> None:
        """Stop returning records of these partitions."""
        self._paused |= self._positions.keys() & set(tps)

    def resume(self, tps: Iterable[TopicPartition]) -> None:
        """Return records of these partitions again."""
        self._paused -= set(tps)

    def begin_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the first offsets still held."""
        with self._broker.changed:
            return {tp: self._broker.log(tp).begin for tp in tps}

    def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offsets after the last records."""
        with self._broker.changed:
            return {tp: self._broker.log(tp).end for tp in tps}

    def offsets_for_times(self, times_ns: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Return the first offsets appended at or after the given times."""
        with self._broker.changed:
            return {tp: self._broker.log(tp).first_at(time_ns) for tp, time_ns in times_ns.items()}

    def close(self) -> None:
        """Unregister the reader."""
        self._closed = True
        self._broker.close_reader(self._registration)

    def _check_open(self) -> None:
        if self._closed:
            raise TransportClosedError("this consumer is closed")

    def _check_assigned(self, tp: TopicPartition) -> None:
        if tp not in self._positions:
            raise ValueError(f"{tp} is not assigned")

    def _take_records(self) -> tuple[Record, ...]:
        taken: list[Record] = []
        room = POLL_BYTES
        for tp in list(self._positions):
            if tp in self._paused or room <= 0:
                continue
            log, wanted = self._broker.log(tp), self._positions[tp]
            if wanted == log.end:
                continue
            if not log.begin <= wanted < log.end:
                self._seek_into_range(tp, log)
            found = log.read(self._positions[tp], min(room, PARTITION_POLL_BYTES))
            if found:
                room -= sum(record.size_bytes for record in found)
                # Move it behind the others, so that a full poll starves no partition.
                del self._positions[tp]
                self._positions[tp] = found[-1].offset + 1
                taken += found
        if taken:
            self._broker.changed.notify_all()  # a publisher may have room now
        return tuple(taken)

    def _seek_into_range(self, tp: TopicPartition, log: PartitionLog) -> None:
        wanted = self._positions[tp]
        if self._when_out_of_range == "stop":
            raise OffsetOutOfRangeError(
                f"{tp.topic} {tp.partition}: offset {wanted} is outside {log.begin} to {log.end}"
            )
        resumed = log.begin if self._when_out_of_range == "earliest" else log.end
        self._positions[tp] = resumed
        self._out_of_range.append(OffsetOutOfRange(tp, wanted, resumed))

    def _take_out_of_range(self) -> tuple[OffsetOutOfRange, ...]:
        jumps, self._out_of_range = tuple(self._out_of_range), []
        return jumps
