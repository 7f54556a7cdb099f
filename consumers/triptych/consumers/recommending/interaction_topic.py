"""Read and write the compacted topic of interactions: who did what, profiles, and texts of items."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import Final, Self

import structlog

from triptych.consumers.subscription.log_reading import partitions_of, read_since
from triptych.consumers.subscription.topic_changes import TopicChangeDetector, reopened
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import interactions_topic
from triptych.schemas.recommending.interaction_codec import decode_interaction, encode_interaction
from triptych.schemas.recommending.interactions import Interaction, ItemText, RecommendationRecord, UserProfile
from triptych.transport.errors import BrokerUnavailableError, TopicMissingError
from triptych.transport.protocols import Transport
from triptych.transport.records import Message, Record, TopicPartition

log = structlog.get_logger(__name__)

_SEND_LIMIT_S: Final = 30.0
_BATCH: Final = 10_000
_POLL_S: Final = 0.2
_MAX_SILENCE_S: Final = 30.0
_USER_DIGITS: Final = 32


class InteractionLog:
    """What the topic holds now, in memory. `refresh` reads what is new. It belongs to one thread."""

    def __init__(self, transport: Transport, pipeline: str, users: Collection[str] | None = None) -> None:
        """Open the topic, and read nothing yet.

        Args:
            transport: the installation; the caller closes it after this.
            pipeline: whose interactions.
            users: only records of these pseudonyms are kept, and all texts of items; None keeps all.

        Raises:
            TopicMissingError: the topic does not exist.
        """
        topic = interactions_topic(pipeline)
        with closing(transport.admin()) as admin:
            identity = admin.identify([topic]).get(topic)
        (self._tp,) = _partition(transport, pipeline)
        self._users = None if users is None else frozenset(users)
        self._transport = transport
        self._reader = transport.reader({self._tp: 0})
        self._changes = TopicChangeDetector(transport, topic, identity)
        self._interactions: dict[str, dict[str, Interaction]] = {}
        self.profiles: dict[str, UserProfile] = {}
        """The profile of each user who has one."""
        self.texts: dict[str, ItemText] = {}
        """The text of each item that has one, by kind and id."""
        self.malformed = 0
        """How many records were none of the three."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def users(self) -> list[str]:
        """The users who have done something, sorted."""
        return sorted(user for user, actions in self._interactions.items() if actions)

    def of(self, user: str) -> list[Interaction]:
        """Return the interactions of a user, of each item and action the last one."""
        return list(self._interactions.get(user, {}).values())

    def refresh(self) -> int:
        """Read to the present end of the topic, and return the number of records. Blocks.

        Of a topic that was deleted and created again, nothing that the old one said is kept.

        Raises:
            BrokerUnavailableError: nothing came for 30 s, or the broker does not answer.
        """
        if (identity := self._changes.changed()) is not None:
            self._reader = reopened(self._transport, self._reader, [self._tp], [self._tp], anew=True)
            self._changes.accept(identity)
            self._forget_all()
        end = self._reader.end_offsets([self._tp])[self._tp]
        if end < self._reader.position(self._tp):
            self._reader.seek(self._tp, 0)
            self._forget_all()
        count, heard_s = 0, time.monotonic()
        while self._reader.position(self._tp) < end:
            records = self._reader.poll(_POLL_S).records
            for record in records:
                self._take(record)
            count += len(records)
            now_s = time.monotonic()
            heard_s = now_s if records else heard_s
            if now_s - heard_s > _MAX_SILENCE_S:
                raise BrokerUnavailableError(f"topic {self._tp.topic}: no record came for {_MAX_SILENCE_S:g} s")
        return count

    def close(self) -> None:
        """Close the reader."""
        self._changes.close()
        self._reader.close()

    def _forget_all(self) -> None:
        log.warning("interactions_topic_recreated", topic=self._tp.topic)
        self._interactions.clear()
        self.profiles.clear()
        self.texts.clear()

    def _take(self, record: Record) -> None:
        key = (record.key or b"").decode(errors="replace")
        user = key[:_USER_DIGITS]
        if not record.value:  # a tombstone
            self._interactions.get(user, {}).pop(key, None)
            self.texts.pop(key.removeprefix("item/"), None)
            if key == f"{user}/profile":
                self.profiles.pop(user, None)
            return
        if self._users is not None and user not in self._users and not key.startswith("item/"):
            return
        try:
            self._add(decode_interaction(record.key, record.value, record.headers))
        except MalformedRecordError as error:
            self.malformed += 1
            log.warning("interaction_unreadable", topic=record.topic, offset=record.offset, reason=str(error))

    def _add(self, found: RecommendationRecord) -> None:
        match found:
            case Interaction():
                self._interactions.setdefault(found.user, {})[found.key] = found
            case UserProfile():
                self.profiles[found.user] = found
            case ItemText():
                self.texts[found.item_key] = found


def send_interactions(transport: Transport, pipeline: str, records: Iterable[RecommendationRecord]) -> int:
    """Send records, and return their number. Blocks until the broker has all of them.

    Raises:
        TopicMissingError: the topic does not exist.
    """
    (tp,) = _partition(transport, pipeline)
    wires = (encode_interaction(record, pipeline=pipeline) for record in records)
    return _send(transport, (Message(tp.topic, wire.key, wire.value, wire.headers, tp.partition) for wire in wires))


def forget_user(transport: Transport, pipeline: str, user: str) -> int:
    """Delete all records of a pseudonym by tombstones, and return how many there were. Blocks.

    Whoever reads the topic afterwards finds none. Compaction removes them from the broker's disks, within a day by the
    topic's `max.compaction.lag.ms`.

    Raises:
        TopicMissingError: the topic does not exist.
    """
    (tp,) = _partition(transport, pipeline)
    deleted = 0
    while keys := _keys_of(transport, tp, user):  # again, for what was sent meanwhile
        deleted += _send(transport, (Message(tp.topic, key, None, (), tp.partition) for key in sorted(keys)))
    return deleted


def _keys_of(transport: Transport, tp: TopicPartition, user: str) -> set[bytes]:
    """Return the keys of a user that have a value."""
    prefix, keys = f"{user}/".encode(), set[bytes]()
    for record in read_since(transport, {tp: 0}):
        if record.key is not None and record.key.startswith(prefix):
            (keys.add if record.value else keys.discard)(record.key)
    return keys


def _send(transport: Transport, messages: Iterator[Message]) -> int:
    publisher, count = transport.publisher(), 0
    try:
        while batch := list(islice(messages, _BATCH)):
            sent = [publisher.send(message) for message in batch]
            publisher.flush(_SEND_LIMIT_S)
            for future in sent:
                future.result(0)
            count += len(batch)
    finally:
        publisher.close(_SEND_LIMIT_S)
    return count


def _partition(transport: Transport, pipeline: str) -> tuple[TopicPartition, ...]:
    try:
        return partitions_of(transport, interactions_topic(pipeline))[:1]
    except TopicMissingError as error:
        raise TopicMissingError(f"{error}; `triptych topics create --pipeline {pipeline}` creates it") from None
