"""What is wrong with one piece of media: it goes to the dead letters, and its window goes on without it."""

from __future__ import annotations

from triptych.schemas.errors import TriptychError
from triptych.schemas.reasons import DeadReason


class UnreadableMediaError(TriptychError):
    """A picture or chunk cannot be used. The message says what was expected and what came.

    Attributes:
        code: what it is among the reasons for dead letters.
    """

    def __init__(self, message: str, code: DeadReason = DeadReason.BROKEN_MEDIA) -> None:
        """Take the message, and what it comes to."""
        super().__init__(message)
        self.code = code
