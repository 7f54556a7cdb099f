"""Translate the Kafka client's errors. Nothing else in this package does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from kafka import errors

from triptych.transport.errors import (
    BrokerUnavailableError,
    CommitRefusedError,
    CredentialsError,
    InstanceTakenError,
    MessageRejectedError,
    NotAuthorizedError,
    StopError,
    TopicMissingError,
    TransportError,
)

REBALANCED = (
    errors.CommitFailedError,
    errors.IllegalGenerationError,
    errors.RebalanceInProgressError,
    errors.UnknownMemberIdError,
)
"""The group has revoked the partitions, or is about to."""

TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)

REJECTED = (
    *TOO_LARGE,
    errors.CorruptRecordError,
    errors.InvalidRecordError,
    errors.InvalidTimestampError,
    errors.InvalidTopicError,
    errors.PolicyViolationError,
    errors.UnsupportedForMessageFormatError,
)
"""The broker will never accept this record."""

SEQUENCE_LOST = (
    errors.InvalidProducerEpochError,
    errors.InvalidProducerIdMappingError,
    errors.OutOfOrderSequenceNumberError,
    errors.UnknownProducerIdError,
)
"""The broker's state of an idempotent producer does not match what it sends, for example after a change of leaders. No
record causes this, and a new client, which gets a new producer id, is in sequence again."""

BROKER_AWAY = (errors.RetriableError, errors.BrokerNotAvailableError, errors.UnknownBrokerIdError)
"""A broker does not answer for the moment. The client does not know the id of a leader that has left the cluster since
it heard of it; the next answer about the topics names another one."""

LOGIN_REJECTED = (errors.SaslAuthenticationFailedError, errors.UnsupportedSaslMechanismError)

CERTIFICATE_REJECTED = re.compile(r"ALERT_(BAD_CERTIFICATE|CERTIFICATE_|UNKNOWN_CA|ACCESS_DENIED)")
"""The TLS alerts of a broker that requires a client certificate or rejects ours; the client turns them into text."""

NOT_AUTHORIZED = (errors.AuthorizationError, *LOGIN_REJECTED)

_TABLE: tuple[tuple[tuple[type[Exception], ...], type[TransportError]], ...] = (
    (REBALANCED, CommitRefusedError),
    (NOT_AUTHORIZED, NotAuthorizedError),
    (REJECTED, MessageRejectedError),
    ((errors.UnknownTopicOrPartitionError,), TopicMissingError),
    (BROKER_AWAY, BrokerUnavailableError),
    ((errors.FencedInstanceIdError,), InstanceTakenError),
    ((errors.UnsupportedVersionError, errors.KafkaConfigurationError), StopError),
)


def translated(error: errors.KafkaError, doing: str, *, because: BaseException | None = None) -> TransportError:
    """Return our error for an error of the client.

    Args:
        error: what the client raised.
        doing: what was attempted, as in "reading from the broker at X".
        because: why the last connection attempt failed, if that is more specific than the client's error.
    """
    if _distrusts_broker(error):
        return CredentialsError(f"{doing}: its certificate is not trusted; see kafka.ssl_ca_file: {error}")
    if because is not None and _rejects_our_certificate(because):
        return NotAuthorizedError(
            f"{doing}: the broker rejected our certificate, or requires one and got none: see "
            f"kafka.ssl_cert_file and kafka.ssl_key_file: {_named_error(because)}"
        )
    ours = next((ours for theirs, ours in _TABLE if isinstance(error, theirs)), TransportError)
    hint = ""
    if isinstance(error, errors.KafkaTimeoutError):
        # A broker that expects TLS or a login closes the connection silently, which looks like no broker at all.
        hint = "; no broker answered, or it expects another kafka.security_protocol"
        if because is not None and because is not error:
            hint += f"; the last attempt: {_named_error(because)}"
    elif isinstance(error, LOGIN_REJECTED):
        hint = "; the credentials were refused: see kafka.sasl_mechanism, kafka.username and its password or token"
    elif isinstance(error, errors.AuthorizationError) or "AuthorizationFailedError" in str(error):
        # A user who may write to no topic gets no producer id; the client reports that as text only.
        return NotAuthorizedError(
            f"{doing}: {_denied_resources(error)}: the broker's access rules (ACLs) do not allow it"
        )
    elif isinstance(error, errors.FencedInstanceIdError):
        hint = "; another worker uses this kafka.group_instance_id: each worker needs its own"
    return ours(f"{doing}: {_named_error(error)}{hint}")


def is_rejection(error: BaseException) -> bool:
    """Return whether retrying with the same credentials is pointless."""
    return isinstance(error, LOGIN_REJECTED) or _distrusts_broker(error) or _rejects_our_certificate(error)


@contextmanager
def translating(doing: str) -> Iterator[None]:
    """Translate the client's errors inside the block."""
    try:
        yield
    except errors.KafkaError as error:
        raise translated(error, doing) from error


def _named_error(error: BaseException) -> str:
    message = str(error)
    name = type(error).__name__
    return message if message.startswith((name, "[Error")) else f"{name}: {message}"


def _distrusts_broker(error: BaseException) -> bool:
    # The client keeps only the text of the TLS error.
    return isinstance(error, errors.KafkaConnectionError) and "CERTIFICATE_VERIFY_FAILED" in str(error)


def _rejects_our_certificate(error: BaseException) -> bool:
    return isinstance(error, errors.KafkaConnectionError) and CERTIFICATE_REJECTED.search(str(error)) is not None


def _denied_resources(error: errors.KafkaError) -> str:
    """Return what is not allowed. The client sometimes gives the names, and sometimes its whole request."""
    what = error.args[0] if error.args else ""
    names = [what] if isinstance(what, str) else sorted(map(str, what))
    kind = type(error).__name__.removesuffix("Error")
    return f"{kind} ({', '.join(names)})" if names and "Request" not in names[0] and all(names) else kind
