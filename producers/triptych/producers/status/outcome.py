"""How the playback of one source ended."""

from __future__ import annotations

from dataclasses import dataclass

from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.status.counters import SourceStatus
from triptych.schemas.errors import TriptychError


@dataclass(frozen=True, slots=True)
class SourceOutcome:
    """How one source ended; `error` is what stopped it."""

    plan: PlaybackPlan
    status: SourceStatus
    error: Exception | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of a program that plays this source."""
        return self.error.exit_code if isinstance(self.error, TriptychError) else int(self.error is not None)
