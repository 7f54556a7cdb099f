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
    STOPPED,
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
        self._producer, _ = open_producer(settings, configs)
        try:
            self._producer.init_transactions(2 * INIT_LIMIT_MS / 1_000)
        except KafkaException as found:
            error = as_kafka_python(kafka_error_of(found))
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
            raise as_kafka_python(kafka_error_of(found)) from found

    def commit(self) -> None:
        """Commit the transaction."""
        try:
            self._producer.commit_transaction(self._limit_s)
        except KafkaException as found:
            raise as_kafka_python(kafka_error_of(found)) from found

    def abandon(self, limit_s: float) -> None:
        """Stop the client at once. After the return it sends nothing more."""
        close_producer(self._producer, limit_s)

    def _send(self, messages: Sequence[Message], deadline_s: float) -> None:
        """Send the messages, and wait until the broker has acknowledged them."""
        failures: list[tuple[KafkaError, Message]] = []
        unanswered = len(messages)

        def delivered(error: KafkaError | None, sent: ClientMessage) -> None:
            nonlocal unanswered
            unanswered -= 1
            if error is not None:
                topic = sent.topic() or messages[0].topic
                failures.append((error, Message(topic, b"", b"", partition=sent.partition())))

        for message in messages:
            try:
                produce(self._producer, message, delivered)
            except KafkaException as found:
                raise self._failure(kafka_error_of(found), message) from found
        while unanswered and not failures:
            if time.monotonic() > deadline_s:
                raise errors.KafkaTimeoutError(f"{unanswered} messages were not acknowledged")
            self._producer.poll(POLL_S)
        if failures:
            raise self._failure(*failures[0])

    def _failure(self, error: KafkaError, message: Message) -> errors.KafkaError | MessageRejectedError:
        """Return the error of a message; where it failed because the transaction has failed, why that has."""
        is_consequence = error.code() in STOPPED or error.code() == KafkaError._STATE  # noqa: SLF001 - the name of an error of librdkafka
        cause = self._transaction_error() if is_consequence else None
        return failure_of(error, message) if cause is None else as_kafka_python(cause)

    def _transaction_error(self) -> KafkaError | None:
        """Return why the transaction has failed.

        The client keeps the reason, and raises it for any operation on the transaction. To begin one changes nothing,
        because one has begun.
        """
        try:
            self._producer.begin_transaction()
        except KafkaException as found:
            return kafka_error_of(found)
        return None
