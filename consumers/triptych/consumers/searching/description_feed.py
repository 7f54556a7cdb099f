"""Read the descriptions of a pipeline from where its index ends."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING

import structlog

from triptych.consumers.searching.rows import IndexRow, description_row
from triptych.consumers.subscription.description_subscriber import start_offsets
from triptych.consumers.subscription.topic_changes import TopicChangeDetector, reopened, was_recreated
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import descriptions_topic
from triptych.schemas.perception.description_codec import decode_description
from triptych.transport.errors import RetriableError
from triptych.transport.records import TopicPartition

if TYPE_CHECKING:
    from triptych.consumers.searching.index_store import IndexMeta
    from triptych.consumers.subscription.cursor import Since
    from triptych.transport.protocols import Reader, Transport
    from triptych.transport.records import Record
    from triptych.transport.topic_settings import TopicIdentity

log = structlog.get_logger(__name__)


class DescriptionFeed:
    """Reads the descriptions topic from the offsets that an index stores, and follows it if it changes.

    A pipeline may have no such topic. One that is created later is read from its beginning.
    """

    def __init__(self, transport: Transport, meta: IndexMeta, since: Since | None = None) -> None:
        """Continue where the index ends. A partition without an offset begins at `since`. The caller keeps `transport`.

        Raises:
            TransportError: the broker does not answer, or rejected the program.
        """
        self.malformed = 0
        self._transport = transport
        self._topic = descriptions_topic(meta.pipeline)
        self._reader: Reader | None = None
        self._tps: tuple[TopicPartition, ...] = ()
        self._ends: dict[TopicPartition, int] = {}
        self._end_id = ""
        with closing(transport.admin()) as admin:
            identity = admin.identify([self._topic]).get(self._topic)
        self.topic_id = meta.description_topic_id if identity is None else identity.id
        """Which topic the offsets belong to."""
        self._offsets: Mapping[str, int] = meta.description_offsets
        if identity is not None:
            self._open(identity, meta, since)
        self._changes = TopicChangeDetector(transport, self._topic, identity)

    def poll(self, timeout_s: float = 0.0) -> list[IndexRow]:
        """Return the rows of what is available; block up to the timeout for the first."""
        if (identity := self._changes.changed()) is not None:
            self._follow(identity)
        records = [] if self._reader is None else self._reader.poll(timeout_s).records
        return [row for record in records if (row := self._row(record)) is not None]

    def offsets(self) -> Mapping[str, int]:
        """Return where to continue, by partition."""
        if self._reader is None:
            return self._offsets
        return {str(tp.partition): self._reader.position(tp) for tp in self._tps}

    def end_now(self) -> None:
        """Let the feed end at what exists now."""
        self._end_id = self.topic_id
        self._ends = {} if self._reader is None else dict(self._reader.end_offsets(self._tps))

    def is_at_end(self) -> bool:
        """Return whether everything before the end has been read. In a topic that was created again, that is gone."""
        if self._reader is None or was_recreated(self._end_id, self.topic_id):
            return True
        return all(self._reader.position(tp) >= end for tp, end in self._ends.items())

    def close(self) -> None:
        """Close the reader."""
        self._changes.close()
        if self._reader is not None:
            self._reader.close()

    def _open(self, identity: TopicIdentity, meta: IndexMeta, since: Since | None) -> None:
        self._tps = self._partitions(identity)
        self._reader = self._transport.reader(dict.fromkeys(self._tps, 0))
        is_other = was_recreated(meta.description_topic_id, identity.id)
        if is_other:
            self._warn_recreated(identity)
        starts = start_offsets(self._reader, self._tps, None if is_other else since)
        known = {} if is_other else meta.description_offsets
        for tp in self._tps:
            self._reader.seek(tp, known.get(str(tp.partition), starts[tp]))

    def _follow(self, identity: TopicIdentity) -> None:
        """Read on in a topic that has changed. If the broker does not answer, the next poll tries again."""
        is_other = was_recreated(self.topic_id, identity.id)
        tps = self._partitions(identity)
        try:
            if self._reader is None:
                known = {} if is_other else self._offsets
                self._reader = self._transport.reader({tp: known.get(str(tp.partition), 0) for tp in tps})
            else:
                self._reader = reopened(self._transport, self._reader, self._tps, tps, anew=is_other)
        except RetriableError as error:
            log.warning("topic_unavailable", topic=self._topic, reason=str(error))
            return
        if is_other:
            self._warn_recreated(identity)
        self._changes.accept(identity)
        self._tps, self.topic_id = tps, identity.id

    def _warn_recreated(self, identity: TopicIdentity) -> None:
        log.warning(
            "descriptions_topic_recreated",
            topic=self._topic,
            topic_id=identity.id,
            hint="the topic was deleted and created again: the new one is read from its beginning",
        )

    def _partitions(self, identity: TopicIdentity) -> tuple[TopicPartition, ...]:
        return tuple(TopicPartition(self._topic, number) for number in range(identity.partitions))

    def _row(self, record: Record) -> IndexRow | None:
        try:
            described = decode_description(record.key, record.value, record.headers)
        except MalformedRecordError:
            self.malformed += 1
            return None
        return description_row(described) if described.outcome == "described" else None
