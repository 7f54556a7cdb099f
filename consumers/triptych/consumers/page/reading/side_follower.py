"""Read feedback and descriptions in a thread of its own, all that is kept and what comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Final, Protocol

import structlog

from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import descriptions_topic, feedback_topic
from triptych.schemas.perception.description_codec import decode_description
from triptych.schemas.perception.descriptions import Description
from triptych.schemas.perception.prompt_codec import decode_feedback
from triptych.schemas.perception.prompts import Feedback
from triptych.transport.errors import TransportError
from triptych.transport.protocols import Reader, Transport
from triptych.transport.records import Record, TopicPartition

log = structlog.get_logger(__name__)

_POLL_S: Final = 0.25
_RETRY_S: Final = 5.0
_MISSING_S: Final = 30.0


class SideReceiver(Protocol):
    """Where feedback and descriptions go. Each method returns when the event loop has taken them."""

    def add_feedback(self, feedback: Feedback, offset: int) -> None:
        """Take an answer."""

    def add_description(self, description: Description, partition: int, offset: int) -> None:
        """Take a description."""

    def count(self, name: str, number: int) -> None:
        """Count what was left out."""


class SideFollower:
    """Reads the topics that belong to the results. One that does not exist yet is looked for again."""

    def __init__(self, transport: Transport, pipeline: str, receiver: SideReceiver) -> None:
        """Read nothing yet. The caller closes `transport`."""
        self._transport = transport
        self._topics = (feedback_topic(pipeline), descriptions_topic(pipeline))
        self._feedback = feedback_topic(pipeline)
        self._receiver = receiver

    def run(self, since_ns: int, stop: threading.Event) -> None:
        """Read all feedback, and the descriptions from a publication time on, until a stop. Blocks."""
        while not stop.is_set():
            try:
                self._follow(since_ns, stop)
            except TransportError as error:
                log.warning("page_topics_unavailable", reason=str(error), again_in_s=_RETRY_S)
                stop.wait(_RETRY_S)

    def _follow(self, since_ns: int, stop: threading.Event) -> None:
        counts = self._partition_counts()
        tps = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
        if not tps:
            stop.wait(_MISSING_S)
            return
        with closing(self._transport.reader(dict.fromkeys(tps, 0))) as reader:
            self._seek(reader, tps, since_ns)
            look_again_s = time.monotonic() + _MISSING_S
            while not stop.is_set():
                for record in reader.poll(_POLL_S).records:
                    self._hand_over(record)
                if len(counts) < len(self._topics) and time.monotonic() >= look_again_s:
                    if self._partition_counts() != counts:
                        return  # the other topic was created: read both
                    look_again_s = time.monotonic() + _MISSING_S

    def _seek(self, reader: Reader, tps: list[TopicPartition], since_ns: int) -> None:
        starts = reader.begin_offsets(tps)
        described = [tp for tp in tps if tp.topic != self._feedback]
        if since_ns and described:
            starts |= reader.offsets_for_times(dict.fromkeys(described, since_ns))
        for tp, offset in starts.items():
            reader.seek(tp, offset)

    def _partition_counts(self) -> dict[str, int]:
        with closing(self._transport.admin()) as admin:
            found = {topic: admin.partition_count(topic) for topic in self._topics}
        return {topic: count for topic, count in found.items() if count}

    def _hand_over(self, record: Record) -> None:
        take: Callable[[Record], None] = self._feed_back if record.topic == self._feedback else self._describe
        try:
            take(record)
        except MalformedRecordError as error:
            self._receiver.count("malformed", 1)
            log.warning("page_record_malformed", topic=record.topic, offset=record.offset, reason=str(error))

    def _feed_back(self, record: Record) -> None:
        self._receiver.add_feedback(decode_feedback(record.value, record.headers), record.offset)

    def _describe(self, record: Record) -> None:
        description = decode_description(record.key, record.value, record.headers)
        if description.outcome == "described":
            self._receiver.add_description(description, record.partition, record.offset)
