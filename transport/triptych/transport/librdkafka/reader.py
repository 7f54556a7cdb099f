"""Read partitions from Kafka with librdkafka, without a consumer group (see `Reader`).

The client's own policy for missing offsets is disabled: it would skip records without telling us. It also does not tell
its position before the first record, and not behind records that readers are not given. So this class keeps the
positions: from where it started or was sent, from the records, and from the client's events at ends of partitions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter, methodcaller
from typing import Any, Final, Self, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import Message as ClientMessage
from confluent_kafka import TopicPartition as ClientPartition

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import (
    OffsetOutOfRangeError,
    RetriableError,
    StopError,
    TransportClosedError,
    TransportError,
    UnreadableBatchError,
)
from triptych.transport.librdkafka.connect import ClientErrors
from triptych.transport.librdkafka.consumer_client import (
    EARLIEST,
    LATEST,
    close_consumer,
    open_consumer,
    query_offsets,
    require_topics,
)
from triptych.transport.librdkafka.errors import kafka_error_of, query_error, translating
from triptych.transport.librdkafka.unreadable import unreadable_span
from triptych.transport.records import OffsetOutOfRange, OutOfRangePolicy, Poll, Record, TopicPartition, Unreadable
from triptych.units import NS_PER_MS

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")

POLL_SLICE_S: Final = 0.25
"""The client's call waits for records also when a rebalance is over. Polling in slices of this length reports it
earlier."""
MAX_RECORDS: Final = 100_000
"""Of a poll. The client's queue is bounded in bytes, so this only has to exceed what fits into it."""
_DELETED = "retention deleted records before they were read"
_BEYOND = "the log ends before it: the topic was created again, or its log was truncated"

_OUT_OF_RANGE: Final = frozenset({
    KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - the names of librdkafka's own errors
    KafkaError._LOG_TRUNCATION,  # noqa: SLF001 - as above
    KafkaError.OFFSET_OUT_OF_RANGE,
})  # fmt: skip
_UNREADABLE: Final = frozenset({
    KafkaError._BAD_MSG,  # noqa: SLF001 - the names of librdkafka's own errors
    KafkaError._BAD_COMPRESSION,  # noqa: SLF001 - as above
    KafkaError._NOT_IMPLEMENTED,  # noqa: SLF001 - as above
    KafkaError._UNDERFLOW,  # noqa: SLF001 - as above
    KafkaError.INVALID_MSG,
    KafkaError.INVALID_MSG_SIZE,
})  # fmt: skip

_ABOUT_GROUPS: Final = frozenset({
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
})  # fmt: skip

_CONTENT: Final = itemgetter(1)
_headers_of: Final = methodcaller("headers")
"""Calls `headers` in a way in which CPython always checks the result. For a name that is no text, confluent-kafka 2.16
returns a damaged list and leaves an error set. A call in Python's own code, once CPython 3.11 has specialised it, gives
the list to us, and reading it ends the process with a segmentation fault."""


class LibrdkafkaReader:
    """Reads explicitly assigned partitions (see `Reader`)."""

    _is_in_group = False
    closed = False
    """Whether the reader is closed. A subclass's callbacks read it while the client still connects."""

    def __init__(
        self, settings: KafkaSettings, opened: tuple[Consumer, ClientErrors], *, when_out_of_range: OutOfRangePolicy
    ) -> None:
        self._settings = settings
        self._client, self._errors = opened
        self._where = settings.bootstrap_servers
        self._when_out_of_range = when_out_of_range
        self._positions: dict[TopicPartition, int] = {}
        """The next offset of each partition that the client reads."""
        self._latest = TopicPartition("", -1)
        """The partition of the record that was taken last."""
        self._paused: set[TopicPartition] = set()
        self._outside: set[TopicPartition] = set()
        """Partitions whose position is not in the log, until a new one is known."""
        self._broken: dict[TopicPartition, str] = {}
        """Partitions with a batch that cannot be read, and why, until it is known where the batch ends."""
        self._stopped: dict[TopicPartition, Unreadable] = {}
        self._jumps: list[OffsetOutOfRange] = []
        self._unreadable: list[Unreadable] = []

    @classmethod
    def open(
        cls, settings: KafkaSettings, start: Mapping[TopicPartition, int], *, when_out_of_range: OutOfRangePolicy
    ) -> Self:
        """Connect and read from the given offsets."""
        opened = open_consumer(settings, group=None, configs={})
        require_topics(opened[0], {tp.topic for tp in start})
        reader = cls(settings, opened, when_out_of_range=when_out_of_range)
        reader._positions.update(start)
        try:
            reader._assign()
        except TransportError:
            reader.close()
            raise
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
        if tp not in self._positions:
            raise ValueError(f"{tp} is not assigned")
        return self._positions[tp]

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Continue reading at `offset`."""
        if tp not in self._positions:
            raise ValueError(f"{tp} is not assigned")
        self._on_client(lambda: self._seek({tp: offset}))

    def pause(self, tps: Iterable[TopicPartition]) -> None:
        """Stop returning records of these partitions."""
        mine = [tp for tp in tps if tp in self._positions]
        if mine:
            self._on_client(lambda: self._pause(mine))

    def resume(self, tps: Iterable[TopicPartition]) -> None:
        """Return records of these partitions again."""
        mine = [tp for tp in tps if tp in self._positions and tp not in self._stopped]
        if not mine:
            return
        self._paused.difference_update(mine)
        with translating("resuming partitions"):
            self._on_client(lambda: self._client.resume([ClientPartition(*tp) for tp in mine]))

    def begin_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Query the first offsets still in the log."""
        return self._on_client(
            lambda: query_offsets(self._client, self._where, dict.fromkeys(tps, EARLIEST), "begin offsets")
        )

    def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Query the offsets after the last records. Never uses cached values."""
        return self._on_client(
            lambda: query_offsets(self._client, self._where, dict.fromkeys(tps, LATEST), "end offsets")
        )

    def offsets_for_times(self, times_ns: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Query the first offsets appended at or after the given times."""
        # Query the end first: a record appended in between is then found at its offset instead of being skipped.
        ends = self.end_offsets(times_ns)
        times_ms = {tp: max(0, -(-time_ns // NS_PER_MS)) for tp, time_ns in times_ns.items()}
        found = self._on_client(lambda: query_offsets(self._client, self._where, times_ms, "offsets by time"))
        return {tp: end if found[tp] < 0 else found[tp] for tp, end in ends.items()}

    def close(self) -> None:
        """Close the connections."""
        if not self.closed:
            self.closed = True
            self._close_client()

    def _close_client(self) -> None:
        close_consumer(self._client)

    def _on_client(self, call: Callable[[], Answer]) -> Answer:
        """Run what uses the client."""
        return call()

    def _poll_once(self, timeout_s: float) -> tuple[Record, ...]:
        if self.closed:
            raise TransportClosedError("this consumer is closed")
        return self._consume(timeout_s)

    def _consume(self, timeout_s: float) -> tuple[Record, ...]:
        """Wait for something, and take all that the client has."""
        messages, failure = _fetch(self._client, timeout_s)
        early, self._errors.events = self._errors.events, []
        records: list[Record] = []
        for message in (*early, *messages):
            error = message.error()
            if error is not None:
                self._on_event(message, error)
            else:
                self._take(message, records)
        if failure is not None:
            self._errors(failure)
            self._on_error(failure)
        if self._outside or self._broken:
            self._reposition()
        return tuple(records)

    def _take(self, message: Any, records: list[Record]) -> None:  # noqa: ANN401 - a message of the client, whose stubs make all of it optional
        """Append a record, unless its partition waits for another position."""
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        tp = self._latest
        if partition != tp.partition or topic != tp.topic:  # records of a partition come one after another
            tp = self._latest = TopicPartition(topic, partition)
        if (self._broken or self._outside or self._stopped) and (
            tp in self._broken or tp in self._outside or tp in self._stopped
        ):
            return
        try:
            given = _headers_of(message) or ()
        except (UnicodeDecodeError, SystemError) as error:  # a name that is no text; 2.16 raises the one from the other
            self._positions[tp] = offset
            self._broken[tp] = repr(error.__cause__ or error)
            return
        if None in map(_CONTENT, given):  # rare, and all headers of all records come through here
            given = [(name, content or b"") for name, content in given]
        arrival_ns = message.timestamp()[1] * NS_PER_MS
        records.append(
            Record(tp.topic, partition, offset, arrival_ns, message.key(), message.value() or b"", tuple(given))
        )
        self._positions[tp] = offset + 1

    def _with_assignment_changes(self, records: tuple[Record, ...]) -> Poll:
        if not records:
            for stopped in self._stopped.values():
                raise UnreadableBatchError(stopped)
        out_of_range, unreadable = self._take_faults()
        return Poll(records, out_of_range=out_of_range, unreadable=unreadable)

    def _take_faults(self) -> tuple[tuple[OffsetOutOfRange, ...], tuple[Unreadable, ...]]:
        """Return and reset the jumps over records, and the spans that cannot be read."""
        jumps, self._jumps = tuple(self._jumps), []
        unreadable, self._unreadable = tuple(self._unreadable), []
        return jumps, unreadable

    def _on_event(self, message: ClientMessage, error: KafkaError) -> None:
        """Handle an event that stands among the records."""
        topic, partition, code = message.topic(), message.partition(), error.code()
        tp = TopicPartition(topic or "", -1 if partition is None else partition)
        if tp not in self._positions:
            self._on_error(error, topic)
        elif code == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the name of an event of librdkafka
            if tp not in self._broken and tp not in self._outside and tp not in self._stopped:
                self._positions[tp] = max(self._positions[tp], message.offset() or 0)
        elif code in _OUT_OF_RANGE:
            self._outside.add(tp)
        elif code in _UNREADABLE:
            self._broken.setdefault(tp, f"{error.name()}: {error.str()}")
        else:
            self._on_error(error, topic)

    def _on_error(self, error: KafkaError, subject: str | None = None) -> None:
        """Raise an error that does not pass by itself; log another one, since the next poll tries again."""
        if not self._is_in_group and error.code() in _ABOUT_GROUPS:
            return  # the client looks for the coordinator of the group that it has to name
        failure = query_error(error, f"reading from the broker at {self._where}", subject)
        if error.fatal() or isinstance(failure, StopError):
            raise failure
        log.warning("kafka_poll_failed", error=str(error))

    def _reposition(self) -> None:
        """Look up where to continue, and seek, or stop reading a partition. If no broker answers, poll again."""
        try:
            for tp, reason in list(self._broken.items()):
                span = unreadable_span(self._settings, tp, self._positions[tp], reason)
                del self._broken[tp]
                self._unreadable.append(span)
                if span.stopped:
                    self._stopped[tp] = span
                    self._pause([tp])
                else:
                    self._seek({tp: span.next_offset})
            if self._outside:
                self._seek_into_range()
        except RetriableError as error:
            log.warning("kafka_position_unknown", error=str(error))

    def _seek_into_range(self) -> None:
        begins = query_offsets(self._client, self._where, dict.fromkeys(self._outside, EARLIEST), "begin offsets")
        ends = query_offsets(self._client, self._where, dict.fromkeys(self._outside, LATEST), "end offsets")
        resumed: dict[TopicPartition, int] = {}
        for tp in sorted(self._outside):
            wanted = self._positions[tp]
            cause = _BEYOND if wanted > ends[tp] else _DELETED
            if self._when_out_of_range == "stop":
                raise OffsetOutOfRangeError(
                    f"{tp.topic} {tp.partition}: offset {wanted} is outside {begins[tp]} to {ends[tp]}: {cause}. "
                    "TRIPTYCH_KAFKA_OFFSET_GONE=earliest continues with the rest"
                )
            resumed[tp] = begins[tp] if self._when_out_of_range == "earliest" else ends[tp]
            self._jumps.append(OffsetOutOfRange(tp, wanted, resumed[tp]))
            log.error(
                "kafka_offset_out_of_range",
                topic=tp.topic,
                partition=tp.partition,
                wanted=wanted,
                resumed=resumed[tp],
                cause=cause,
            )
        self._seek(resumed)

    def _seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Continue reading at these offsets."""
        self._positions.update(offsets)
        for tp in offsets:
            self._outside.discard(tp)
            self._broken.pop(tp, None)
            if self._stopped.pop(tp, None) is not None:
                self._paused.discard(tp)
                self._client.resume([ClientPartition(*tp)])
        with translating("seeking"):
            try:
                for tp, offset in offsets.items():
                    self._client.seek(ClientPartition(*tp, offset))
            except KafkaException as found:
                # The client seeks only while it reads the partition, and not just after it was outside the log.
                if kafka_error_of(found).code() != KafkaError._STATE:  # noqa: SLF001 - the name of an error of librdkafka
                    raise
                self._assign()

    def _pause(self, tps: list[TopicPartition]) -> None:
        self._paused.update(tps)
        with translating("pausing partitions"):
            self._client.pause([ClientPartition(*tp) for tp in tps])

    def _assign(self) -> None:
        """Make the client read all partitions anew, each at its position."""
        with translating("assigning partitions"):
            self._client.assign([ClientPartition(*tp, offset) for tp, offset in self._positions.items()])
        self._pause([tp for tp in self._paused if tp in self._positions])


def _fetch(client: Consumer, timeout_s: float) -> tuple[list[ClientMessage], KafkaError | None]:
    """Wait for one event of the client; return it with what else the client has, and the error if a call failed.

    The client does not return the event of the first call again if the second one fails.
    """
    messages: list[ClientMessage] = []
    try:
        messages += client.consume(1, timeout_s)
        if messages:
            messages += client.consume(MAX_RECORDS, 0)
    except KafkaException as found:  # a fatal error
        return messages, kafka_error_of(found)
    return messages, None
