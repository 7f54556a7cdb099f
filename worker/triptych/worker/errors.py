"""What stops a worker, each with the exit code by which a supervisor tells them apart."""

from __future__ import annotations

from triptych.schemas.errors import TriptychError

EXIT_MODEL_BROKEN = 6
EXIT_STATE_UNREADABLE = 7


class ModelBrokenError(TriptychError):
    """Say that the model fails on any input, so that going on would publish empty results."""

    exit_code = EXIT_MODEL_BROKEN


class ModelRefusedError(TriptychError):
    """Say why a model is not taken into service; the one that is in service goes on."""


class StateUnreadableError(TriptychError):
    """Say that a stream's last state cannot be read, so that going on would publish its windows again."""

    exit_code = EXIT_STATE_UNREADABLE
