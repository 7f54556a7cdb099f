"""The root of every error that Triptych raises, and the errors of the contract.

The tree is shaped by what the caller does next: a `UsageError` is the user's to mend (exit code 2), a
`MalformedRecordError` sends one record to the dead letters, anything else stops the program with its `exit_code`.
"""

from __future__ import annotations

from typing import ClassVar

_SHOWN_CHARACTERS = 80


class TriptychError(Exception):
    """Root of the errors that Triptych raises on purpose; the command line prints them as one line."""

    exit_code: ClassVar[int] = 1


class UsageError(TriptychError):
    """A user's mistake. The message says what was expected, what came, and what to do."""

    exit_code: ClassVar[int] = 2


class MalformedRecordError(TriptychError):
    """A record or result that does not follow the contract.

    Attributes:
        field: the header (`ce_startns`), the part (`key`, `value`) or the JSON path (`value.modalities.video`) at fault.
        expected: what the contract wants there.
        got: what came, shortened.
    """

    def __init__(self, field: str, expected: str, got: object) -> None:
        """Compose the message from the three parts."""
        self.field = field
        self.expected = expected
        self.got = _shortened(got)
        super().__init__(f"{field}: expected {expected}, got {self.got}")


def _shortened(got: object) -> str:
    shown = got if isinstance(got, str) else repr(got)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}… ({len(shown)} characters)"
