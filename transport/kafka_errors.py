"""The one place where the Kafka client's errors become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kafka import errors

from triptych.transport.errors import (
    BrokerUnavailableError,
    CommitRefusedError,
    NotAuthorizedError,
    RecordRefusedError,
    StopError,
    TopicMissingError,
    TransportError,
)

MOVED = (
    errors.CommitFailedError,
    errors.IllegalGenerationError,
    errors.RebalanceInProgressError,
    errors.UnknownMemberIdError,
)
"""The group gave the partitions away, or is about to."""

TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)

REFUSED = (
    *TOO_LARGE,
    errors.CorruptRecordError,
    errors.InvalidRecordError,
    errors.InvalidTimestampError,
    errors.InvalidTopicError,
    errors.PolicyViolationError,
    errors.UnsupportedForMessageFormatError,
)
"""The broker will never take this record."""

NOT_AUTHORIZED = (errors.AuthorizationError, errors.SaslAuthenticationFailedError)

_TABLE: tuple[tuple[tuple[type[Exception], ...], type[TransportError]], ...] = (
    (MOVED, CommitRefusedError),
    (NOT_AUTHORIZED, NotAuthorizedError),
    (REFUSED, RecordRefusedError),
    ((errors.UnknownTopicOrPartitionError,), TopicMissingError),
    ((errors.RetriableError,), BrokerUnavailableError),
    ((errors.UnsupportedVersionError, errors.KafkaConfigurationError, errors.FencedInstanceIdError), StopError),
)


def translated(error: errors.KafkaError, doing: str) -> TransportError:
    """Return our error for the client's; `doing` says what was tried, as in "reading from the broker at X"."""
    ours = next((ours for theirs, ours in _TABLE if isinstance(error, theirs)), TransportError)
    hint = ""
    if isinstance(error, errors.KafkaTimeoutError):
        # A wrong password looks the same as nobody there: the client only says that it could not bootstrap.
        hint = "; no broker answered, or the credentials were refused"
    if isinstance(error, errors.FencedInstanceIdError):
        hint = "; another worker has taken this kafka.group_instance_id: each worker needs one of its own"
    return ours(f"{doing}: {_named(error)}{hint}")


@contextmanager
def translating(doing: str) -> Iterator[None]:
    """Let none of the client's errors out."""
    try:
        yield
    except errors.KafkaError as error:
        raise translated(error, doing) from error


def _named(error: errors.KafkaError) -> str:
    words = str(error)
    name = type(error).__name__
    return words if words.startswith(name) else f"{name}: {words}"
