"""The one place where the Kafka client's errors become ours."""

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

OUT_OF_STEP = (
    errors.InvalidProducerEpochError,
    errors.InvalidProducerIdMappingError,
    errors.OutOfOrderSequenceNumberError,
    errors.UnknownProducerIdError,
)
"""What the broker remembers of a producer does not fit what it sends, as after a change of leaders. No record is to
blame, and a new client, which gets a number of its own, is in step again."""

LOGIN_REFUSED = (errors.SaslAuthenticationFailedError, errors.UnsupportedSaslMechanismError)

CERTIFICATE_REFUSED = re.compile(r"ALERT_(BAD_CERTIFICATE|CERTIFICATE_|UNKNOWN_CA|ACCESS_DENIED)")
"""A broker's last words to a client whose certificate it wants, or does not take; the client makes a text of them."""

NOT_AUTHORIZED = (errors.AuthorizationError, *LOGIN_REFUSED)

_TABLE: tuple[tuple[tuple[type[Exception], ...], type[TransportError]], ...] = (
    (MOVED, CommitRefusedError),
    (NOT_AUTHORIZED, NotAuthorizedError),
    (REFUSED, MessageRejectedError),
    ((errors.UnknownTopicOrPartitionError,), TopicMissingError),
    ((errors.RetriableError,), BrokerUnavailableError),
    ((errors.FencedInstanceIdError,), InstanceTakenError),
    ((errors.UnsupportedVersionError, errors.KafkaConfigurationError), StopError),
)


def translated(error: errors.KafkaError, doing: str, *, because: BaseException | None = None) -> TransportError:
    """Return our error for the client's.

    Args:
        error: what the client raised.
        doing: what was tried, as in "reading from the broker at X".
        because: what the last attempt failed of, where more is known than the client says.
    """
    if _distrusts(error):
        return CredentialsError(f"{doing}: its certificate is not one that we trust; see kafka.ssl_ca_file: {error}")
    if because is not None and _refuses_certificate(because):
        return NotAuthorizedError(
            f"{doing}: our certificate was refused, or none was shown and the broker wants one: see "
            f"kafka.ssl_cert_file and kafka.ssl_key_file: {_named(because)}"
        )
    ours = next((ours for theirs, ours in _TABLE if isinstance(error, theirs)), TransportError)
    hint = ""
    if isinstance(error, errors.KafkaTimeoutError):
        # A broker that wants TLS or a login looks the same as nobody there: it closes the connection without a word.
        hint = "; no broker answered, or it expects another kafka.security_protocol"
        if because is not None and because is not error:
            hint += f"; the last attempt: {_named(because)}"
    elif isinstance(error, LOGIN_REFUSED):
        hint = "; the credentials were refused: see kafka.sasl_mechanism, kafka.username and its password or token"
    elif isinstance(error, errors.AuthorizationError) or "AuthorizationFailedError" in str(error):
        # One who may write to no topic is refused a producer's number, which the client tells as a text.
        return NotAuthorizedError(f"{doing}: {_refused_what(error)}: the broker's access rules (ACLs) do not allow it")
    elif isinstance(error, errors.FencedInstanceIdError):
        hint = "; another worker has taken this kafka.group_instance_id: each worker needs one of its own"
    return ours(f"{doing}: {_named(error)}{hint}")


def is_refusal(error: BaseException) -> bool:
    """Whether trying again with the same credentials would change nothing."""
    return isinstance(error, LOGIN_REFUSED) or _distrusts(error) or _refuses_certificate(error)


@contextmanager
def translating(doing: str) -> Iterator[None]:
    """Let none of the client's errors out."""
    try:
        yield
    except errors.KafkaError as error:
        raise translated(error, doing) from error


def _named(error: BaseException) -> str:
    words = str(error)
    name = type(error).__name__
    return words if words.startswith((name, "[Error")) else f"{name}: {words}"


def _distrusts(error: BaseException) -> bool:
    # The client makes a text of it.
    return isinstance(error, errors.KafkaConnectionError) and "CERTIFICATE_VERIFY_FAILED" in str(error)


def _refuses_certificate(error: BaseException) -> bool:
    return isinstance(error, errors.KafkaConnectionError) and CERTIFICATE_REFUSED.search(str(error)) is not None


def _refused_what(error: errors.KafkaError) -> str:
    """Return what is not allowed; the client sometimes gives the names, and sometimes its whole request."""
    what = error.args[0] if error.args else ""
    names = [what] if isinstance(what, str) else sorted(map(str, what))
    kind = type(error).__name__.removesuffix("Error")
    return f"{kind} ({', '.join(names)})" if names and "Request" not in names[0] and all(names) else kind
