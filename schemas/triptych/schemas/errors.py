"""The base of all errors that Triptych raises, and the errors of the contract.

The hierarchy follows what the caller does next: the user has to fix a `UsageError` (exit code 2), a
`MalformedRecordError` dead-letters one record, and anything else stops the program with its `exit_code`.
"""

from __future__ import annotations

import reprlib
from typing import ClassVar

from triptych.schemas.reasons import DeadReason

_SHOWN_CHARACTERS = 80


class TriptychError(Exception):
    """The base of the errors that Triptych raises on purpose. The command line prints them in one line."""

    exit_code: ClassVar[int] = 1


class UsageError(TriptychError):
    """A user's mistake. The message says what was expected, what came, and what to do."""

    exit_code: ClassVar[int] = 2


class MalformedRecordError(TriptychError):
    """A record or result does not follow the contract.

    Attributes:
        field: the invalid part: a header (`ce_startns`), `key`, `value`, or a JSON path (`value.modalities.video`).
        expected: what the contract requires there.
        got: what came, shortened.
        code: the reason for the dead letter.
    """

    def __init__(self, field: str, expected: str, got: object, code: DeadReason = DeadReason.BAD_HEADER) -> None:
        """Compose the message from the first three arguments."""
        self.field = _shortened(field)
        self.expected = expected
        self.got = _shortened(got)
        self.code = code
        super().__init__(f"{self.field}: expected {expected}, got {self.got}")


def _shortened(got: object) -> str:
    """Return what came as one printable line, without formatting all of a long value."""
    if isinstance(got, bytes | str):
        shown = got[:_SHOWN_CHARACTERS]
        unit = "bytes" if isinstance(got, bytes) else "characters"
        text = shown if isinstance(shown, str) and shown and shown.isprintable() else repr(shown)
        return text if len(got) <= _SHOWN_CHARACTERS else f"{text}… ({len(got)} {unit})"
    return _shortened(reprlib.repr(got))
