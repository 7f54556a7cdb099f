"""Notice that a topic grows or is created again while it is read, and that the broker does not answer."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from contextlib import closing, suppress
from typing import Final

import structlog

from triptych.transport.errors import TransportError
from triptych.transport.protocols import Reader, TopicAdmin, Transport
from triptych.transport.records import TopicPartition
from triptych.transport.topic_settings import TopicIdentity

log = structlog.get_logger(__name__)

INTERVAL_S: Final = 10.0
_JOIN_S: Final = 1.0


class TopicChangeDetector:
    """Asks the broker regularly, in a thread of its own, which topic has a name, and how many partitions it has.

    The client of a reader does not tell a topic from another one of the same name: it reads the new one at the offset
    that it had in the old one. And a reader has the partitions that it was opened with.
    """

    def __init__(self, transport: Transport, topic: str, known: TopicIdentity | None) -> None:
        """Start to ask. The first question is sent after `INTERVAL_S`.

        Args:
            transport: the installation. It stays open until after `close`.
            topic: name of the topic.
            known: the topic that is being read; None if there was none yet.
        """
        self._transport = transport
        self._topic = topic
        self._known = known
        self._latest: TopicIdentity | None = None
        self._is_answered = True
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"changes-of-{topic}", daemon=True)
        self._thread.start()

    def changed(self) -> TopicIdentity | None:
        """Return the topic of now if it is another one than the known one, or has more partitions. Never blocks."""
        latest, known = self._latest, self._known
        if latest is None or latest == known:
            return None
        if known is None or was_recreated(known.id, latest.id) or latest.partitions > known.partitions:
            return latest
        return None

    def accept(self, identity: TopicIdentity) -> None:
        """Take this topic as the known one from now on."""
        self._known = identity

    def close(self) -> None:
        """Stop asking. A question that the broker does not answer ends in the background."""
        self._stopping.set()
        self._thread.join(_JOIN_S)

    def _run(self) -> None:
        admin: TopicAdmin | None = None
        while not self._stopping.wait(INTERVAL_S):
            try:
                admin = self._transport.admin() if admin is None else admin
                latest = admin.identify([self._topic]).get(self._topic)
            except TransportError as error:
                _close(admin)
                admin = None
                self._note(is_answered=False, reason=str(error))
            else:
                self._latest = self._latest if latest is None else latest
                missing = None if latest is not None or self._known is None else f"topic {self._topic} does not exist"
                self._note(is_answered=missing is None, reason=missing or "")
        _close(admin)

    def _note(self, *, is_answered: bool, reason: str) -> None:
        """Log when answers stop, and when they come again."""
        if is_answered != self._is_answered and not self._stopping.is_set():
            if is_answered:
                log.info("topic_available", topic=self._topic)
            else:
                log.warning("topic_unavailable", topic=self._topic, reason=reason)
        self._is_answered = is_answered


def reopened(
    transport: Transport,
    reader: Reader,
    known: Collection[TopicPartition],
    tps: Iterable[TopicPartition],
    *,
    anew: bool,
) -> Reader:
    """Return a reader of these partitions in place of one of the known ones, which is closed. Blocks.

    It continues at the same positions, or with `anew` at the beginning, where partitions that are new begin as well.

    Raises:
        RetriableError: the broker does not answer; the reader is as before.
    """
    start = {tp: 0 if anew or tp not in known else reader.position(tp) for tp in tps}
    fresh = transport.reader(start)
    reader.close()
    return fresh


def was_recreated(known_id: str, id_now: str) -> bool:
    """Return whether two ids of a topic belong to different topics. Brokers before Kafka 2.8 have no ids."""
    return bool(known_id and id_now) and known_id != id_now


def _close(admin: TopicAdmin | None) -> None:
    if admin is not None:
        with suppress(TransportError), closing(admin):
            pass
