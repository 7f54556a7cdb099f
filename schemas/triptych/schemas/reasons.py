"""Why a record was refused: a closed set, by what is wrong with it and so by who can mend it.

It grows with the code. A reader may meet a reason that a newer writer knows: then it is text and nothing more.
"""

from __future__ import annotations

from enum import StrEnum


class DeadReason(StrEnum):
    """One of the reasons. The dead letter says in words beside it what was expected and what came."""

    VERSION = "version"
    """Written by another version of the contract (`ce_specversion`)."""
    UNKNOWN_TYPE = "unknown_type"
    """A kind of record that is not among ours (`ce_type`)."""
    MISSING_HEADER = "missing_header"
    BAD_HEADER = "bad_header"
    WRONG_TOPIC = "wrong_topic"
    """A record of another modality than its topic."""
    BAD_STREAM = "bad_stream"
    """The key is no stream id."""
    WRONG_PARTITION = "wrong_partition"
    FUTURE = "future"
    """Event time too far after arrival."""
    LATE = "late"
    """All its windows had closed, and none could be revised any more."""
    EMPTY_VALUE = "empty_value"
    BAD_VALUE = "bad_value"
    """Bytes where none may be: in a control record."""
    NOT_UTF8 = "not_utf8"
    TOO_LARGE = "too_large"
    """Text, pixels or samples beyond a bound."""
    UNKNOWN_FORMAT = "unknown_format"
    """Media in a format or coding that is not ours."""
    BROKEN_MEDIA = "broken_media"
    WRONG_LENGTH = "wrong_length"
    """Sound whose samples and times contradict one another."""


UNKNOWN_REASON = "unknown"
"""What stands for the reason of a letter that was written before there was this set."""
