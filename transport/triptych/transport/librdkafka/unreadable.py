"""Find out how far a batch reaches that librdkafka cannot read.

librdkafka reports a wrong checksum, a codec that fails or a malformed batch with the offset at which it was to read,
but not where the batch ends, and fetches it again and again if nothing follows. kafka-python's reader knows how to read
the header of such a batch, so it is asked for the span. That takes one more connection for a moment.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import Final

import structlog

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import UnreadableBatchError
from triptych.transport.kafka.reader import KafkaReader
from triptych.transport.records import TopicPartition, Unreadable

log = structlog.get_logger(__name__)

LOOK_UP_LIMIT_S: Final = 5.0


def unreadable_span(settings: KafkaSettings, tp: TopicPartition, offset: int, reason: str) -> Unreadable:
    """Return the span that cannot be read at `offset`, and log it; only this offset if kafka-python can read it.

    Raises:
        RetriableError: no broker answered.
    """
    found = _read_by_kafka_python(settings, tp, offset)
    if found is not None:
        return found
    stops = settings.unreadable_batch == "stop"
    log.error(
        "kafka_batch_unreadable",
        topic=tp.topic,
        partition=tp.partition,
        offset=offset,
        next_offset=offset + 1,
        reason=reason,
        action="partition stopped" if stops else "skipped",
    )
    return Unreadable(tp, offset, offset + 1, reason, stopped=stops)


def _read_by_kafka_python(settings: KafkaSettings, tp: TopicPartition, offset: int) -> Unreadable | None:
    deadline_s = time.monotonic() + LOOK_UP_LIMIT_S
    with closing(KafkaReader.open(settings, {tp: offset}, when_out_of_range="earliest")) as reader:
        while time.monotonic() < deadline_s:
            try:
                poll = reader.poll(deadline_s - time.monotonic())
            except UnreadableBatchError as stopped:
                return stopped.spans[0]
            if poll.unreadable:
                span = poll.unreadable[0]
                return span if all(record.offset > span.offset for record in poll.records) else None
            if poll.records:
                return None
    return None
