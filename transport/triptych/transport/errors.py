"""The errors between a program and its broker, sorted by what the caller does next.

- `RetriableError`: nothing is wrong with the call; retry it later.
- `CommitRefusedError`: the partitions were reassigned; drop their state and keep polling.
- `OutcomeUnknownError`: a transaction may be committed or not; recover, and continue from what is published.
- `MessageRejectedError`: this message will never be accepted; dead-letter it and continue.
- `StopError`: nothing helps until a person has done what the message says.

Each adapter translates its client's errors in one place; they never leave this package.
"""

from __future__ import annotations

from triptych.schemas.errors import TriptychError
from triptych.transport.records import Unreadable

EXIT_UNAVAILABLE = 3
EXIT_OFFSET_OUT_OF_RANGE = 4
EXIT_REFUSED = 5
EXIT_UNREADABLE = 8
EXIT_TOPIC_RECREATED = 9


class TransportError(TriptychError):
    """The base of all errors of this package."""


class RetriableError(TransportError):
    """The same call may succeed later."""

    exit_code = EXIT_UNAVAILABLE


class BrokerUnavailableError(RetriableError):
    """No broker answered in time."""


class PublishTimeoutError(RetriableError):
    """Messages could not be queued, or were not acknowledged, in time."""


class CommitRefusedError(TransportError):
    """A commit came too late: the group has reassigned, or is reassigning, the partitions."""


class OutcomeUnknownError(TransportError):
    """It is unknown whether a transaction is committed: all of its messages are published, or none."""

    exit_code = EXIT_UNAVAILABLE


class MessageRejectedError(TransportError):
    """One message will never be accepted, by this program or by the broker."""


class RecordTooLargeError(MessageRejectedError):
    """One record exceeds the size limit."""

    def __init__(self, topic: str, *, size_bytes: int, limit_bytes: int | None, refused_by: str) -> None:
        """Describe the size, the limit if known, and the three places that set it."""
        limit = "its limit" if limit_bytes is None else f"the limit of {limit_bytes} bytes"
        super().__init__(
            f"a record for {topic} has {size_bytes} bytes with its key and headers, over {limit} of {refused_by}. "
            "Kafka sets the size in three places: the topic's max.message.bytes (the broker's message.max.bytes), "
            "the producer's max_request_size (TRIPTYCH_KAFKA_MAX_RECORD_BYTES) and "
            "the consumer's max_partition_fetch_bytes (it follows the same variable); "
            "`triptych topics check` compares them"
        )
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class StopError(TransportError):
    """Nothing helps until a person acts."""


class OffsetOutOfRangeError(StopError):
    """Unread records were deleted, and the policy is to stop."""

    exit_code = EXIT_OFFSET_OUT_OF_RANGE


class UnreadableBatchError(StopError):
    """Batches cannot be read, and the policy is to stop: `spans`, of one partition each."""

    exit_code = EXIT_UNREADABLE

    def __init__(self, *spans: Unreadable) -> None:
        """Name each span, and how to continue behind it."""
        places = [
            f"{span.tp.topic} {span.tp.partition}: the batch at offset {span.offset} cannot be read: {span.reason}. "
            f"TRIPTYCH_KAFKA_UNREADABLE_BATCH=skip continues at {span.next_offset}"
            for span in spans
        ]
        super().__init__("\n".join(places))
        self.spans = spans


class NotAuthorizedError(StopError):
    """The broker rejected the login, or does not allow the operation."""

    exit_code = EXIT_REFUSED


class CredentialsError(StopError):
    """The credentials cannot be used: a file, a certificate, a token."""

    exit_code = 2


class TransportClosedError(StopError):
    """A client was used after it was closed."""


class TopicMissingError(StopError):
    """A topic does not exist. The message names the command that creates it."""

    exit_code = 2


class TopicRecreatedError(StopError):
    """A topic was deleted and created again while a program read it. A restart begins with the new one."""

    exit_code = EXIT_TOPIC_RECREATED


class TopicMisconfiguredError(StopError):
    """The topics of a pipeline have wrong settings. The message names the command that fixes them."""

    exit_code = 2


class InstanceTakenError(StopError):
    """Another member of the group has taken our instance id."""

    exit_code = 2


class MixedMembersError(StopError):
    """A group has static and dynamic members, or would have. The message says how to fix it."""

    exit_code = 2
