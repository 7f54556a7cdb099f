"""Publish to Kafka in transactions with librdkafka (see `KafkaTransactions`, whose rules these are).

librdkafka neither splits a batch that the broker finds too large nor names the record. So before such an error counts,
the transaction is repeated with one message in each batch. So are the next ones, for a while: if a topic's limit is
smaller than a batch, most batches are too large.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Message as ClientMessage
from confluent_kafka import TopicPartition as ClientPartition
from kafka import errors

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import MessageRejectedError, RecordTooLargeError, TransportClosedError
from triptych.transport.kafka.errors import translated
from triptych.transport.kafka.transactions import ABANDON_LIMIT_S, INIT_LIMIT_MS, KafkaTransactions
from triptych.transport.librdkafka.connect import Configs
from triptych.transport.librdkafka.errors import as_kafka_python, kafka_error_of
from triptych.transport.librdkafka.group_metadata import group_metadata
from triptych.transport.librdkafka.producer import (
    SINGLE_MESSAGES,
    close_producer,
    failure_of,
    open_producer,
    produce,
)
from triptych.transport.records import GroupOffsets, Message

POLL_S: Final = 0.1


class LibrdkafkaTransactions(KafkaTransactions):
    """Publishes batches as transactions under one transactional id (see `TransactionalPublisher`)."""

    _client: LibrdkafkaTransactionClient | None

    def __init__(self, settings: KafkaSettings, name: str) -> None:
        """Connect, and end the transaction that the last owner of the name left open."""
        self._singles = 0
        """How many messages are still sent in batches of one."""
        super().__init__(settings, name)

    def publish(self, messages: Sequence[Message], offsets: GroupOffsets | None) -> None:
        """Publish all messages and commit the offsets, or nothing."""
        is_single = self._singles > 0
        try:
            super().publish(messages, offsets)
        except RecordTooLargeError as error:
            if is_single or error.limit_bytes is not None:  # our own limit
                raise
            self._singles = SINGLE_MESSAGES
            super().publish(messages, offsets)
        if self._singles > 0:
            self._count_singles(len(messages))

    def _count_singles(self, sent: int) -> None:
        """Count messages that were sent in batches of one. After the last, discard the client: the next one batches."""
        self._singles = max(0, self._singles - sent)
        client = self._client
        if self._singles == 0 and client is not None:
            self._client = None
            client.abandon(ABANDON_LIMIT_S)

    def _open(self) -> LibrdkafkaTransactionClient:
        """Open a client and keep it."""
        if self.closed:
            raise TransportClosedError("this publisher is closed")
        self._client = LibrdkafkaTransactionClient(
            self._settings, self._name, self._limit_s, single_messages=self._singles > 0
        )
        return self._client


class LibrdkafkaTransactionClient:
    """One producer client, used until its first failure. Belongs to one thread."""

    def __init__(self, settings: KafkaSettings, name: str, limit_s: float, *, single_messages: bool) -> None:
        self._limit_s = limit_s
        configs: Configs = {
            "transactional.id": name,
            "transaction.timeout.ms": settings.transaction_timeout_ms,
            "message.timeout.ms": settings.transaction_timeout_ms,
            "request.timeout.ms": settings.transaction_timeout_ms,
            "linger.ms": 0,
        }
        if single_messages:
            configs["batch.num.messages"] = 1
        self._producer, self._reported = open_producer(settings, configs)
        try:
            self._producer.init_transactions(2 * INIT_LIMIT_MS / 1_000)
        except KafkaException as found:
            error = self._error(kafka_error_of(found))
            self.abandon(ABANDON_LIMIT_S)
            raise translated(error, f"taking the name {name} at {settings.bootstrap_servers}") from found

    def fill(self, messages: Sequence[Message], offsets: GroupOffsets | None) -> None:
        """Begin a transaction and add everything to it. On return, the broker has all of it.

        The order matters: the broker accepts the offsets only from the group's current owner, and an owner that takes
        over after that moment finds the messages appended.
        """
        deadline_s = time.monotonic() + self._limit_s
        try:
            self._producer.begin_transaction()
            self._send(messages, deadline_s)
            if offsets is not None:
                stored = [ClientPartition(*tp, c.offset, c.metadata) for tp, c in offsets.commits.items()]
                self._producer.send_offsets_to_transaction(
                    stored, group_metadata(offsets.member), max(0.0, deadline_s - time.monotonic())
                )
        except KafkaException as found:
            raise self._error(kafka_error_of(found)) from found

    def commit(self) -> None:
        """Commit the transaction."""
        try:
            self._producer.commit_transaction(self._limit_s)
        except KafkaException as found:
            raise self._error(kafka_error_of(found)) from found

    def abandon(self, limit_s: float) -> None:
        """Stop the client at once. After the return it sends nothing more."""
        close_producer(self._producer, limit_s)

    def _send(self, messages: Sequence[Message], deadline_s: float) -> None:
        """Send the messages, and wait until the broker has acknowledged them."""
        failures: list[errors.KafkaError | MessageRejectedError] = []
        unanswered = len(messages)

        def delivered(error: KafkaError | None, sent: ClientMessage) -> None:
            nonlocal unanswered
            unanswered -= 1
            if error is not None:
                failures.append(self._failure(error, sent, messages[0]))

        for message in messages:
            produce(self._producer, message, delivered)
        while unanswered and not failures:
            if time.monotonic() > deadline_s:
                raise errors.KafkaTimeoutError(f"{unanswered} messages were not acknowledged")
            self._producer.poll(POLL_S)
        if failures:
            raise failures[0]

    def _failure(
        self, error: KafkaError, sent: ClientMessage, example: Message
    ) -> errors.KafkaError | MessageRejectedError:
        found = failure_of(error, Message(sent.topic() or example.topic, b"", b"", partition=sent.partition()))
        return found if isinstance(found, MessageRejectedError) else self._error(error, found)

    def _error(self, error: KafkaError, found: errors.KafkaError | None = None) -> errors.KafkaError:
        """Return kafka-python's error; for the consequence of a fatal error, that error."""
        cause = self._reported.fatal
        is_consequence = error.code() in (KafkaError._FATAL, KafkaError._STATE, KafkaError._PURGE_QUEUE)  # noqa: SLF001 - the names of librdkafka's own errors
        if cause is not None and is_consequence:
            return as_kafka_python(cause)
        return found or as_kafka_python(error)
