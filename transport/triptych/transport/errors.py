"""What can go wrong between a program and its broker, sorted by what the caller does next.

- `RetriableError`: nothing is wrong with the call; make it again later.
- `CommitRefusedError`: the partitions moved; drop their state and keep polling.
- `OutcomeUnknownError`: a transaction may be published or not; find out, and begin anew from what there is.
- `MessageRejectedError`: this one record will never be taken; dead-letter it and go on.
- `StopError`: going on cannot help until a person has done what the message says.

The clients' own errors never leave this package; each adapter translates them in one place.
"""

from __future__ import annotations

from triptych.schemas.errors import TriptychError

EXIT_UNAVAILABLE = 3
EXIT_OFFSET_GONE = 4
EXIT_REFUSED = 5


class TransportError(TriptychError):
    """Stand above every error of this package."""


class RetriableError(TransportError):
    """Say that the same call may succeed later."""

    exit_code = EXIT_UNAVAILABLE


class BrokerUnavailableError(RetriableError):
    """Say that no broker answered in time, or that it refused the credentials."""


class PublishTimeoutError(RetriableError):
    """Say that records could not be handed over, or were not acknowledged, in time."""


class CommitRefusedError(TransportError):
    """Say that a commit came too late: the group gave, or is giving, the partitions away."""


class OutcomeUnknownError(TransportError):
    """Say that nobody answered whether a transaction is committed: its messages may be there or not, all or none."""

    exit_code = EXIT_UNAVAILABLE


class MessageRejectedError(TransportError):
    """Say that one record will never be taken, by us or by the broker."""


class RecordTooLargeError(MessageRejectedError):
    """Say that one record is over the size limit, and where the limit is set."""

    def __init__(self, topic: str, *, size_bytes: int, limit_bytes: int | None, refused_by: str) -> None:
        """Name the size, the limit where it is known, and the three places that set it."""
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
    """Say that going on cannot help until a person acts."""


class OffsetGoneError(StopError):
    """Say that records which were never read are gone, and that the policy is to stop."""

    exit_code = EXIT_OFFSET_GONE


class NotAuthorizedError(StopError):
    """Say that the broker does not let us in, or not do this."""

    exit_code = EXIT_REFUSED


class CredentialsError(StopError):
    """Say that what we should log in with cannot be used: a file, a certificate, a token."""

    exit_code = 2


class TransportClosedError(StopError):
    """Say that a client was used after it was closed."""


class TopicMissingError(StopError):
    """Say that a topic does not exist, with the command that makes it."""

    exit_code = 2


class TopicMisconfiguredError(StopError):
    """Say what is wrong with the topics of a pipeline, with the command that mends it."""

    exit_code = 2


class InstanceTakenError(StopError):
    """Say that another member of the group has our instance id now."""

    exit_code = 2


class MixedMembersError(StopError):
    """Say that a group has static and dynamic members, or would have, with what mends it."""

    exit_code = 2
