"""Why a record was dead-lettered: a closed set, by what is wrong and so by who can fix it.

The set grows with the code. To a reader, the reason of a newer writer is plain text.
"""

from __future__ import annotations

from enum import StrEnum


class DeadReason(StrEnum):
    """A reason. The dead letter also has a text that says what was expected and what came."""

    VERSION = "version"
    """Not CloudEvents 1.0 (`ce_specversion`)."""
    UNKNOWN_TYPE = "unknown_type"
    """An unknown kind of record (`ce_type`)."""
    MISSING_HEADER = "missing_header"
    BAD_HEADER = "bad_header"
    WRONG_TOPIC = "wrong_topic"
    """The record's modality is not that of its topic."""
    BAD_STREAM = "bad_stream"
    """The key is not a stream id."""
    WRONG_PARTITION = "wrong_partition"
    FUTURE = "future"
    """The event time is too far after the arrival time."""
    LATE = "late"
    """All of its windows had closed, and none could be revised any more."""
    EMPTY_VALUE = "empty_value"
    BAD_VALUE = "bad_value"
    """A control record with a value."""
    NOT_UTF8 = "not_utf8"
    TOO_LARGE = "too_large"
    """Text, pixels or samples beyond a limit."""
    UNKNOWN_FORMAT = "unknown_format"
    """Media in an unsupported format or codec."""
    BROKEN_MEDIA = "broken_media"
    WRONG_LENGTH = "wrong_length"
    """Audio whose samples contradict its times."""
    BAD_ANSWER = "bad_answer"
    """The answer of a model that describes windows does not follow its schema. The record is the window's result."""


UNKNOWN_REASON = "unknown"
"""The reason of letters that were written before this set existed."""
