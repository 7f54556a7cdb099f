"""Kafka messages for results and dead letters, and smaller versions of those that exceed the size limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from triptych.schemas.codec import encode_result
from triptych.schemas.dead import DeadLetter
from triptych.schemas.dead_codec import encode_dead
from triptych.schemas.names import STATE_HEADER, Modality, dead_topic, results_topic
from triptych.schemas.reasons import DeadReason
from triptych.schemas.results import Result
from triptych.schemas.tracing.trace_context import TRACEPARENT_HEADER, publish_context
from triptych.transport.errors import RecordTooLargeError
from triptych.transport.records import Message, Record
from triptych.worker.partitions.origin import topics_header
from triptych.worker.publishing.truncation import truncate_dead_letter, truncate_result

_log = structlog.get_logger(__name__)

_MAX_REASON_CHARS: Final = 1_000

Truncate = Callable[[Message, RecordTooLargeError], tuple[Message, ...]]
"""Returns what to send instead of a message that is too large: the replacement last, before it what must precede it."""


@dataclass(frozen=True, slots=True)
class OutgoingDeadLetter:
    """An input record to publish on the dead-letter topic, with the reason as text and as a code."""

    record: Record
    reason: str
    code: DeadReason

    @property
    def source(self) -> tuple[str, int, int]:
        """Topic, partition and offset of the input record."""
        return self.record.topic, self.record.partition, self.record.offset


@dataclass(frozen=True, slots=True)
class ResultEnvelope:
    """A result, the partition to publish it on, and the state of its stream after it."""

    result: Result
    partition: int
    state: bytes


class MessageBuilder:
    """Builds the messages of one pipeline."""

    def __init__(self, pipeline: str, topic_ids: Mapping[Modality, str] | None = None) -> None:
        """Build messages for the topics of `pipeline`. Its input topics have these ids, which states carry."""
        self._pipeline = pipeline
        self._results_topic = results_topic(pipeline)
        self._topics_header = topics_header(topic_ids or {})

    def result(self, envelope: ResultEnvelope) -> Message:
        """Return the message for a result. The stream's state travels in its header."""
        wire = encode_result(envelope.result, pipeline=self._pipeline)
        headers = (*wire.headers, (STATE_HEADER, envelope.state), *self._topics_header)
        trace_id = envelope.result.trace_id
        if trace_id is not None:
            context = publish_context(trace_id, self._pipeline, envelope.result.id)
            headers = (*headers, (TRACEPARENT_HEADER, context.traceparent))
        return Message(self._results_topic, wire.key, wire.value, headers, envelope.partition)

    def dead_letter(self, letter: OutgoingDeadLetter) -> Message:
        """Return the message for a dead letter, on the same partition as its input record."""
        record = letter.record
        dead = DeadLetter(
            pipeline=self._pipeline,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            arrival_ns=record.arrival_ns,
            reason=letter.reason[:_MAX_REASON_CHARS],
            code=letter.code,
            key=record.key,
            value=record.value,
            headers=record.headers,
        )
        wire = encode_dead(dead)
        return Message(dead_topic(self._pipeline), wire.key, wire.value, wire.headers, record.partition)

    def truncate_dead_letter(self, message: Message, error: RecordTooLargeError) -> tuple[Message, ...]:
        """Return the dead letter without the record's value and headers.

        Raises:
            RecordTooLargeError: the value is already gone.
        """
        if not message.value:
            raise error
        _log.warning("dead_letter_truncated", stream=message.key.decode(errors="replace"), reason=str(error))
        return (truncate_dead_letter(message),)

    def truncate_result(self, message: Message, error: RecordTooLargeError) -> tuple[Message, ...]:
        """Return a smaller result, preceded by a dead letter if parts of it were removed.

        Raises:
            RecordTooLargeError: nothing is left to remove.
        """
        _log.warning("result_truncated", stream=message.key.decode(errors="replace"), reason=str(error))
        return truncate_result(message, error, self._pipeline)
