"""A few readers of the input topics that are used again and again: to open one takes longer than to read a picture."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Final

from triptych.schemas.names import INPUT_TOPICS, results_topic
from triptych.transport.protocols import GroupConsumer, Publisher, Reader, TopicAdmin, TransactionalPublisher, Transport
from triptych.transport.records import OutOfRangePolicy, Poll, TopicPartition

_BUSY_S: Final = 20.0
_NOWHERE: Final = 2**62
"""Where a reader that nobody uses stands: the in-memory broker keeps what a reader has not read yet."""


class ReadersBusyError(Exception):
    """All readers are in use for longer than a client should wait."""


class PooledTransport:
    """A transport whose readers of the pipeline's topics come from a pool (see `Transport`). Any thread may use it.

    Closing such a reader gives it back. A reader that failed is closed for good.
    """

    def __init__(self, transport: Transport, pipeline: str, *, most: int) -> None:
        """Create at most `most` readers, when they are needed. The caller closes `transport`."""
        self._transport = transport
        self._topics = (*INPUT_TOPICS, results_topic(pipeline))
        self._free = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._idle: list[_SharedReader] = []
        self._closed = False

    def reader(
        self, start: Mapping[TopicPartition, int], *, when_out_of_range: OutOfRangePolicy = "earliest"
    ) -> Reader:
        """Borrow a reader for these partitions, at these offsets. Blocks while all of them are in use.

        Raises:
            ReadersBusyError: none was given back for 20 s.
            TransportError: the broker does not answer.
        """
        del when_out_of_range  # the pool's readers continue with the earliest record, and the caller checks offsets
        if not self._free.acquire(timeout=_BUSY_S):
            raise ReadersBusyError(f"all readers were in use for {_BUSY_S:g} s")
        try:
            shared = self._take(start)
            with _closed_if_it_fails(shared.reader):
                for tp, offset in start.items():
                    shared.reader.seek(tp, offset)
                shared.reader.resume(start)
        except BaseException:
            self._free.release()
            raise
        return PooledReader(self, shared, tuple(start))

    def give_back(self, shared: _SharedReader, tps: Iterable[TopicPartition], *, failed: bool) -> None:
        """Take a reader back."""
        try:
            if not failed:
                tps = tuple(tps)
                with _closed_if_it_fails(shared.reader):
                    shared.reader.pause(tps)
                    for tp in tps:
                        shared.reader.seek(tp, _NOWHERE)
            with self._lock:
                keep = not failed and not self._closed
                if keep:
                    self._idle.append(shared)
            if not keep:
                shared.reader.close()
        finally:
            self._free.release()

    def close(self) -> None:
        """Close the readers that nobody uses, and each other one when it is given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for shared in idle:
            shared.reader.close()

    def group_consumer(
        self,
        topics: Sequence[str],
        group: str,
        *,
        when_out_of_range: OutOfRangePolicy = "earliest",
        hand_over_s: float = 0.0,
    ) -> GroupConsumer:
        """Open a consumer that joins a group."""
        return self._transport.group_consumer(
            topics, group, when_out_of_range=when_out_of_range, hand_over_s=hand_over_s
        )

    def publisher(self) -> Publisher:
        """Open a publisher."""
        return self._transport.publisher()

    def transactional_publisher(self, name: str) -> TransactionalPublisher:
        """Open a transactional publisher."""
        return self._transport.transactional_publisher(name)

    def admin(self) -> TopicAdmin:
        """Open an admin client."""
        return self._transport.admin()

    def _take(self, start: Mapping[TopicPartition, int]) -> _SharedReader:
        with self._lock:
            shared = self._idle.pop() if self._idle else None
        if shared is not None and shared.tps >= start.keys():
            return shared
        if shared is not None:
            shared.reader.close()  # a topic has grown since
        return self._open(start)

    def _open(self, start: Mapping[TopicPartition, int]) -> _SharedReader:
        with closing(self._transport.admin()) as admin:
            counts = {topic: admin.partition_count(topic) or 0 for topic in self._topics}
        tps = {TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)}
        tps |= start.keys()
        reader = self._transport.reader(dict.fromkeys(tps, _NOWHERE))
        with _closed_if_it_fails(reader):
            reader.pause(tps)
        return _SharedReader(reader, frozenset(tps))


@contextmanager
def _closed_if_it_fails(reader: Reader) -> Iterator[None]:
    """Close a reader with which something fails: nobody else would."""
    try:
        yield
    except BaseException:
        reader.close()
        raise


class _SharedReader:
    """A reader of all partitions, all of them paused while nobody uses it."""

    def __init__(self, reader: Reader, tps: frozenset[TopicPartition]) -> None:
        self.reader = reader
        self.tps = tps


class PooledReader:
    """A borrowed reader (see `Reader`)."""

    def __init__(self, pool: PooledTransport, shared: _SharedReader, tps: Sequence[TopicPartition]) -> None:
        self._pool = pool
        self._shared: _SharedReader | None = shared
        self._tps = tps
        self._failed = False

    def poll(self, timeout_s: float) -> Poll:
        """Return what is available. Wait up to `timeout_s` for something."""
        with self._watched() as reader:
            found = reader.poll(timeout_s)
        wanted = set(self._tps)
        return Poll(
            tuple(record for record in found.records if record.tp in wanted),
            out_of_range=tuple(jump for jump in found.out_of_range if jump.tp in wanted),
            unreadable=tuple(span for span in found.unreadable if span.tp in wanted),
        )

    def position(self, tp: TopicPartition) -> int:
        """Return the offset to read next."""
        with self._watched() as reader:
            return reader.position(tp)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Continue reading at `offset`."""
        with self._watched() as reader:
            reader.seek(tp, offset)

    def pause(self, tps: Iterable[TopicPartition]) -> None:
        """Return no records of these partitions until `resume`."""
        with self._watched() as reader:
            reader.pause(tps)

    def resume(self, tps: Iterable[TopicPartition]) -> None:
        """Undo `pause`."""
        with self._watched() as reader:
            reader.resume(tp for tp in tps if tp in self._tps)

    def begin_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Query the first offsets still in the log."""
        with self._watched() as reader:
            return reader.begin_offsets(tps)

    def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Query the offsets after the last records."""
        with self._watched() as reader:
            return reader.end_offsets(tps)

    def offsets_for_times(self, times_ns: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Query the first offsets appended at or after the given times."""
        with self._watched() as reader:
            return reader.offsets_for_times(times_ns)

    def close(self) -> None:
        """Give the reader back. Closing twice does nothing."""
        shared, self._shared = self._shared, None
        if shared is not None:
            self._pool.give_back(shared, self._tps, failed=self._failed)

    @contextmanager
    def _watched(self) -> Iterator[Reader]:
        if self._shared is None:
            raise ValueError("this reader was given back")
        try:
            yield self._shared.reader
        except BaseException:
            self._failed = True
            raise
