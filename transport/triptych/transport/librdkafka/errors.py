"""Translate librdkafka's errors: first to the same errors of kafka-python, then by the one table of `kafka/errors.py`.

Both clients know the broker's errors by Kafka's numbers. The numbers below zero are librdkafka's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from kafka import errors

from triptych.transport.errors import BrokerUnavailableError, TransportError
from triptych.transport.kafka.errors import translated

_OWN: Final[dict[int, type[errors.KafkaError]]] = {
    KafkaError._TRANSPORT: errors.KafkaConnectionError,  # noqa: SLF001 - the names of librdkafka's own errors
    KafkaError._ALL_BROKERS_DOWN: errors.KafkaConnectionError,  # noqa: SLF001 - as above
    KafkaError._RESOLVE: errors.KafkaConnectionError,  # noqa: SLF001 - as above
    KafkaError._SSL: errors.KafkaConnectionError,  # noqa: SLF001 - as above
    # The client has forgotten the broker that it had asked, for example after a change in the cluster.
    KafkaError._DESTROY: errors.KafkaConnectionError,  # noqa: SLF001 - as above
    KafkaError._DESTROY_BROKER: errors.KafkaConnectionError,  # noqa: SLF001 - as above
    KafkaError._TIMED_OUT: errors.KafkaTimeoutError,  # noqa: SLF001 - as above
    KafkaError._TIMED_OUT_QUEUE: errors.KafkaTimeoutError,  # noqa: SLF001 - as above
    KafkaError._MSG_TIMED_OUT: errors.KafkaTimeoutError,  # noqa: SLF001 - as above
    KafkaError._WAIT_COORD: errors.CoordinatorNotAvailableError,  # noqa: SLF001 - as above
    KafkaError._AUTHENTICATION: errors.SaslAuthenticationFailedError,  # noqa: SLF001 - as above
    KafkaError._UNKNOWN_TOPIC: errors.UnknownTopicOrPartitionError,  # noqa: SLF001 - as above
    KafkaError._UNKNOWN_PARTITION: errors.LeaderNotAvailableError,  # noqa: SLF001 - as above
    KafkaError._FENCED: errors.ProducerFencedError,  # noqa: SLF001 - as above
    KafkaError._ASSIGNMENT_LOST: errors.CommitFailedError,  # noqa: SLF001 - as above
    KafkaError._BAD_MSG: errors.CorruptRecordError,  # noqa: SLF001 - as above
    KafkaError._UNSUPPORTED_FEATURE: errors.UnsupportedVersionError,  # noqa: SLF001 - as above
    KafkaError._INVALID_ARG: errors.KafkaConfigurationError,  # noqa: SLF001 - as above
}

NO_COORDINATOR: Final = frozenset({
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
})  # fmt: skip
"""A group has no coordinator yet. A new cluster creates its topic of offsets on the first request."""


def kafka_error_of(found: KafkaException) -> KafkaError:
    """Return the error that an exception of the client carries."""
    error = found.args[0]
    return error if isinstance(error, KafkaError) else KafkaError(KafkaError.UNKNOWN, str(found))


def as_kafka_python(error: KafkaError, subject: str | None = None) -> errors.KafkaError:
    """Return the same error of kafka-python.

    Args:
        error: librdkafka's error.
        subject: the topic or group that it concerns, which replaces its text.
    """
    code = error.code()
    message = subject or error.str()
    if code in (KafkaError._SSL, KafkaError._TRANSPORT) and "SSL" in error.str():  # noqa: SLF001 - the names of errors of librdkafka
        # The common table recognises the reasons of TLS by OpenSSL's names, which librdkafka writes as words.
        message = f"{message} [{error.str().upper().replace(' ', '_')}]"
    if code > 0:
        return errors.for_code(code)(message)
    kind = _OWN.get(code, errors.RetriableError if error.retriable() else errors.KafkaError)
    return kind(f"{message} ({error.name()})" if kind in (errors.RetriableError, errors.KafkaError) else message)


@contextmanager
def translating(doing: str, subject: str | None = None) -> Iterator[None]:
    """Translate the client's exceptions inside the block. `subject` names the topic or group, if it is only one."""
    try:
        yield
    except KafkaException as found:
        raise translated_error(kafka_error_of(found), doing, subject) from found


@contextmanager
def querying(doing: str, subject: str | None = None) -> Iterator[None]:
    """Translate the client's exceptions of a query inside the block."""
    try:
        yield
    except KafkaException as found:
        raise query_error(kafka_error_of(found), doing, subject) from found


def query_error(error: KafkaError, doing: str, subject: str | None = None) -> TransportError:
    """Return our error for a query that failed.

    A broker that has just restarted knows no topics and no leaders for a moment, which looks as if they did not exist.
    """
    theirs = as_kafka_python(error, subject)
    if isinstance(theirs, errors.RetriableError):
        return BrokerUnavailableError(f"{doing}: {theirs}: the broker is unavailable, or has no leader now")
    return translated(theirs, doing)


def translated_error(error: KafkaError, doing: str, subject: str | None = None) -> TransportError:
    """Return our error for an error of librdkafka."""
    return translated(as_kafka_python(error, subject), doing)
