"""Read what vision-language models wrote about the windows of a pipeline.

with DescriptionSubscriber.from_kafka("127.0.0.1:9092") as subscriber:
    for description in subscriber.descriptions("city"):
        print(description.title, description.what_happens)
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from triptych.consumers.subscription.recent_ids import RecentIds
from triptych.schemas.errors import MalformedRecordError, UsageError
from triptych.schemas.names import DEFAULT_PIPELINE, checked_pipeline, checked_stream, descriptions_topic

if TYPE_CHECKING:  # importing a subscriber must not import pydantic or a client
    from triptych.consumers.subscription.cursor import Since
    from triptych.schemas.perception.descriptions import Description
    from triptych.settings.kafka import KafkaSettings
    from triptych.transport.protocols import Reader, Transport
    from triptych.transport.records import Record, TopicPartition

_POLL_TIMEOUT_S: Final = 0.25
_REMEMBERED_IDS: Final = 65_536


class DescriptionSubscriber:
    """Reads the descriptions of one pipeline. Only one thread may iterate; any thread may call `stop`."""

    def __init__(self, transport: Transport, *, pipeline: str = DEFAULT_PIPELINE, owns_transport: bool = False) -> None:
        """Create a subscriber over a transport, which it closes if it owns it.

        Raises:
            UsageError: the pipeline's name is invalid.
        """
        self._transport = transport
        self._pipeline = checked_pipeline(pipeline)
        self._owns_transport = owns_transport
        self._stopped = False
        self.malformed = 0
        """How many records were skipped because they are no valid descriptions."""

    @classmethod
    def from_kafka(cls, settings: KafkaSettings | str, *, pipeline: str = DEFAULT_PIPELINE) -> Self:
        """Read from Kafka, given its bootstrap servers or all settings of the connection."""
        from triptych.settings.kafka import KafkaSettings  # noqa: PLC0415 - importing a subscriber must be cheap
        from triptych.transport.open import open_transport  # noqa: PLC0415 - as above

        connection = KafkaSettings(bootstrap_servers=settings) if isinstance(settings, str) else settings
        return cls(open_transport(connection), pipeline=pipeline, owns_transport=True)

    def descriptions(
        self,
        stream: str | None = None,
        since: Since | None = None,
        *,
        until_end: bool = False,
        all_outcomes: bool = False,
    ) -> Iterator[Description]:
        """Iterate over descriptions in the order of their publication, each id once. Blocks for the next one.

        Args:
            stream: one stream; if not given, all streams.
            since: a publication time or `now`; if not given, everything that is kept.
            until_end: end at the last description that exists now.
            all_outcomes: include the records of windows that were refused or given up.

        Raises:
            UsageError: `stream` or `since` is invalid.
            TransportError: the server is unavailable, or the topic does not exist.
        """
        from triptych.consumers.subscription.log_reading import partitions_of  # noqa: PLC0415 - as above

        key = None if stream is None else checked_stream(stream).encode()
        tps = partitions_of(self._transport, descriptions_topic(self._pipeline))
        reader = self._transport.reader(dict.fromkeys(tps, 0))
        try:
            starts, ends = start_offsets(reader, tps, since), reader.end_offsets(tps)
            for tp, offset in starts.items():
                reader.seek(tp, offset)
            seen = RecentIds(_REMEMBERED_IDS)
            while not self._stopped:
                for record in reader.poll(_POLL_TIMEOUT_S).records:
                    described = self._decoded(record, key)
                    wanted = described is not None and (all_outcomes or described.outcome == "described")
                    before_end = not until_end or record.offset < ends[record.tp]
                    if described is not None and wanted and before_end and seen.add(described.id):
                        yield described
                if until_end and all(reader.position(tp) >= end for tp, end in ends.items()):
                    return
        finally:
            reader.close()

    def stop(self) -> None:
        """Request the end of the iteration. Never blocks; safe in other threads and in signal handlers."""
        self._stopped = True

    def close(self) -> None:
        """Stop, and close the transport if this subscriber owns it."""
        self.stop()
        if self._owns_transport:
            self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decoded(self, record: Record, key: bytes | None) -> Description | None:
        from triptych.schemas.perception.description_codec import decode_description  # noqa: PLC0415 - as above

        if key is not None and record.key != key:
            return None
        try:
            return decode_description(record.key, record.value, record.headers)
        except MalformedRecordError:
            self.malformed += 1
            return None


def start_offsets(reader: Reader, tps: tuple[TopicPartition, ...], since: Since | None) -> dict[TopicPartition, int]:
    """Return where to start reading: at a publication time, `now`, or everything that is kept.

    Raises:
        UsageError: `since` is invalid.
    """
    from triptych.consumers.subscription.cursor import NOW, Cursor, parse_since  # noqa: PLC0415 - as above

    start = parse_since(since)
    if isinstance(start, Cursor):
        raise UsageError("since: expected a publication time or now; cursors belong to results")
    if start is None:
        return reader.begin_offsets(tps)
    return reader.end_offsets(tps) if start == NOW else reader.offsets_for_times(dict.fromkeys(tps, start))
