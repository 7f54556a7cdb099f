"""Publish to Kafka in transactions: a batch of messages and the group's offsets, atomically.

The client's transactional calls have no time limit, and after many kinds of errors the client is unusable (kafka-python
up to 3.0.12 at least). So each call gets a time limit here, and after any failure the client is discarded: the next one
takes the same transactional id, which makes the broker abort what the last one left open.

A transaction that failed before the commit request is not committed, and never will be: the next client aborts it, or
the broker does after `kafka.transaction_timeout_ms`. Only a failed commit request leaves the outcome unknown.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, Protocol

import structlog
from kafka import KafkaProducer, errors
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import (
    BrokerUnavailableError,
    CommitRefusedError,
    MessageRejectedError,
    OutcomeUnknownError,
    RecordTooLargeError,
    TransportClosedError,
    TransportError,
)
from triptych.transport.kafka.connect import connect
from triptych.transport.kafka.errors import TOO_LARGE, translated
from triptych.transport.kafka.producer import BATCH_BYTES, METADATA_LIMIT_MS, REQUEST_BYTES
from triptych.transport.kafka.rebalance import theirs
from triptych.transport.records import GroupOffsets, Message
from triptych.transport.topic_settings import BATCH_OVERHEAD_BYTES
from triptych.transport.watchdog import within

log = structlog.get_logger(__name__)

RETRY_BACKOFF_MS: Final = 2
"""The delay between attempts while the previous transaction still ends. That takes a few milliseconds; the client's
default of 100 ms would dominate the cost of a transaction."""
INIT_LIMIT_MS: Final = 10_000
ABANDON_LIMIT_S: Final = 10.0
FENCED = (errors.ProducerFencedError, errors.InvalidProducerEpochError)
"""Another producer has taken our transactional id, or the broker aborted a transaction of ours that took too long."""


class KafkaTransactions:
    """Publishes batches as transactions under one transactional id (see `TransactionalPublisher`)."""

    def __init__(self, settings: KafkaSettings, name: str) -> None:
        """Connect, and end the transaction that the last owner of the name left open."""
        self._settings = settings
        self._name = name
        self._where = settings.bootstrap_servers
        self._limit_s = settings.transaction_timeout_ms / 1_000
        self.closed = False
        self._client: OneUseTransactions | None = None
        self._client = self._open()

    def publish(self, messages: Sequence[Message], offsets: GroupOffsets | None) -> None:
        """Publish all messages and commit the offsets, or nothing."""
        for message in messages:
            limit = self._settings.max_record_bytes
            if message.size_bytes > limit:
                raise RecordTooLargeError(
                    message.topic, size_bytes=message.size_bytes, limit_bytes=limit, refused_by="this program"
                )
        client = self._client or self._open()
        try:
            client.fill(messages, offsets)
        except (errors.KafkaError, TransportError) as error:
            self._replace(client, error)
            raise self._not_published(error, messages) from error
        except (TypeError, ValueError) as error:
            self._replace(client, error)
            raise MessageRejectedError(f"a record for {messages[0].topic} cannot be sent: {error}") from error
        try:
            client.commit()
        except (errors.KafkaError, TransportError) as error:
            self._replace(client, error)
            raise OutcomeUnknownError(
                f"committing a transaction of {self._name} at {self._where}: {error!r}; whether it is committed is "
                "unknown"
            ) from error

    def recover(self) -> None:
        """Open a client if there is none. That ends the transaction that the last one left open."""
        if self._client is None:
            self._open()

    def close(self, timeout_s: float) -> None:
        """Close the connections. No transaction is open between two calls."""
        self.closed = True
        client, self._client = self._client, None
        if client is not None:
            client.abandon(timeout_s)

    def _open(self) -> OneUseTransactions:
        """Open a client and keep it."""
        if self.closed:
            raise TransportClosedError("this publisher is closed")
        self._client = TransactionClient(self._settings, self._name, self._limit_s)
        return self._client

    def _replace(self, client: OneUseTransactions, error: Exception) -> None:
        """Discard the client; the next call opens another one."""
        log.warning("kafka_transaction_failed", name=self._name, error=repr(error))
        self._client = None
        client.abandon(ABANDON_LIMIT_S)

    def _not_published(self, error: Exception, messages: Sequence[Message]) -> TransportError:
        """Return the error for a transaction that is not committed: its type tells the caller what to do next."""
        doing = f"publishing a transaction of {self._name} at {self._where}"
        if isinstance(error, TransportError):
            return error
        if isinstance(error, TOO_LARGE):
            largest = max(messages, key=lambda message: message.size_bytes)
            return RecordTooLargeError(
                largest.topic, size_bytes=largest.size_bytes, limit_bytes=None, refused_by="the broker or the topic"
            )
        if isinstance(error, FENCED):
            return CommitRefusedError(f"{doing}: {error!r}: another worker uses this name, or we took too long")
        ours = translated(error, doing) if isinstance(error, errors.KafkaError) else TransportError(f"{doing}: {error}")
        # The client raises plain errors for many transient causes: a coordinator that moves, a rebalance in progress.
        return BrokerUnavailableError(str(ours)) if type(ours) is TransportError else ours


class OneUseTransactions(Protocol):
    """A transactional producer client that is used until its first failure. It raises errors of kafka-python."""

    def fill(self, messages: Sequence[Message], offsets: GroupOffsets | None) -> None:
        """Begin a transaction and add everything to it. On return, the broker has all of it."""

    def commit(self) -> None:
        """Commit the transaction."""

    def abandon(self, limit_s: float) -> None:
        """Stop the client at once. After the return it sends nothing more."""


class TransactionClient:
    """One producer client, used until its first failure."""

    def __init__(self, settings: KafkaSettings, name: str, limit_s: float) -> None:
        self._limit_s = limit_s
        self._where = settings.bootstrap_servers
        self._producer = connect(
            KafkaProducer,
            settings,
            transactional_id=name,
            transaction_timeout_ms=settings.transaction_timeout_ms,
            acks="all",
            enable_idempotence=True,
            retry_backoff_ms=RETRY_BACKOFF_MS,
            batch_size=min(BATCH_BYTES, settings.max_record_bytes),
            linger_ms=0,
            max_request_size=max(REQUEST_BYTES, settings.max_record_bytes + BATCH_OVERHEAD_BYTES),
            max_block_ms=max(METADATA_LIMIT_MS, INIT_LIMIT_MS),
            delivery_timeout_ms=settings.transaction_timeout_ms,
            request_timeout_ms=settings.transaction_timeout_ms,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )
        try:
            self._within_limit(
                f"taking the name {name}", self._producer.init_transactions, limit_s=2 * INIT_LIMIT_MS / 1_000
            )
        except errors.KafkaError as error:
            self.abandon(ABANDON_LIMIT_S)
            raise translated(error, f"taking the name {name} at {self._where}") from error
        except TransportError:
            self.abandon(ABANDON_LIMIT_S)
            raise

    def fill(self, messages: Sequence[Message], offsets: GroupOffsets | None) -> None:
        """Begin a transaction and add everything to it. On return, the broker has all of it.

        The order matters: the broker accepts the offsets only from the group's current owner, and an owner that takes
        over after that moment finds the messages appended.
        """
        deadline = time.monotonic() + self._limit_s
        self._producer.begin_transaction()
        sent_messages = [self._send(message) for message in messages]
        # The client's flush fails if a batch is too large and is split. Without lingering, no flush is needed.
        for sent in sent_messages:
            sent.get(timeout=max(0.0, deadline - time.monotonic()))
        if offsets is not None:
            stored = {theirs(tp): OffsetAndMetadata(c.offset, c.metadata, -1) for tp, c in offsets.commits.items()}
            member = offsets.member
            their_member = ConsumerGroupMetadata(member.group, member.generation, member.member_id, member.instance_id)
            self._within_limit(
                "storing the group's offsets",
                lambda: self._producer.send_offsets_to_transaction(stored, their_member),
                limit_s=max(0.0, deadline - time.monotonic()),
            )

    def commit(self) -> None:
        """Commit the transaction."""
        self._within_limit("committing a transaction", self._producer.commit_transaction, limit_s=self._limit_s)

    def abandon(self, limit_s: float) -> None:
        """Stop the client at once. After the return it sends nothing more."""
        sender = self._producer._sender  # noqa: SLF001 - close() would wait for acknowledgements that never come
        sender.force_close()
        sender.join(limit_s)
        try:
            self._producer.close(timeout=0)
        except errors.KafkaError:
            sender.force_close()  # close() flushes first, and aborted messages do not count as flushed

    def _send(self, message: Message) -> Any:  # noqa: ANN401 - the client is untyped
        return self._producer.send(
            message.topic,
            key=message.key,
            value=message.value,
            headers=list(message.headers),
            partition=message.partition,
        )

    def _within_limit(self, what: str, call: Any, *, limit_s: float) -> None:  # noqa: ANN401 - as above
        within(limit_s, f"{what} at {self._where}", call)
