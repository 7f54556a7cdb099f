"""What is wrong with one piece of media: it goes to the dead letters, and its window goes on without it."""

from __future__ import annotations

from triptych.schemas.errors import TriptychError


class UnreadableMediaError(TriptychError):
    """A picture or chunk cannot be used. The message says what was expected and what came."""
