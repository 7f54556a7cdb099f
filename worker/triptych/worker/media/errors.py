"""The error for media that cannot be decoded. The caller dead-letters the record and continues without it."""

from __future__ import annotations

from triptych.schemas.errors import TriptychError
from triptych.schemas.reasons import DeadReason


class UnreadableMediaError(TriptychError):
    """A picture or audio chunk cannot be decoded.

    Attributes:
        code: The reason code for the dead letter.
    """

    def __init__(self, message: str, code: DeadReason = DeadReason.BROKEN_MEDIA) -> None:
        """Store the message, which says what was expected and what came, and the reason code."""
        super().__init__(message)
        self.code = code
