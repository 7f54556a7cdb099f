"""Errors that stop a worker, or keep a model out of service. Supervisors tell them apart by exit code."""

from __future__ import annotations

from triptych.schemas.errors import TriptychError

EXIT_MODEL_BROKEN = 6
EXIT_STATE_UNREADABLE = 7


class ModelBrokenError(TriptychError):
    """The model fails on every input. The worker stops, because it would publish empty results."""

    exit_code = EXIT_MODEL_BROKEN


class ModelRefusedError(TriptychError):
    """A model cannot be put into service. The model in service stays."""


class StateUnreadableError(TriptychError):
    """The last state of a stream cannot be read. The worker stops, because it would publish windows again."""

    exit_code = EXIT_STATE_UNREADABLE
