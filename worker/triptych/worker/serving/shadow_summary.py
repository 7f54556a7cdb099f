"""Aggregates the comparisons with a shadow model between two summary events. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from triptych.models.prediction import WindowPrediction
from triptych.models.window import PreparedWindow
from triptych.worker.observability.events import HeadAgreement, ShadowInferred, ShadowSummarised
from triptych.worker.serving.comparison import differences

_SHOWN: Final = 8
"""The number of differing windows that a summary names."""

Answered = tuple[PreparedWindow, WindowPrediction]
"""A window and the prediction of a model for it."""


@dataclass(slots=True)
class _Head:
    windows: int = 0
    differed: int = 0
    distance: float = 0.0


@dataclass(slots=True)
class ShadowSummary:
    """Counts the windows that were compared, skipped and failed."""

    skipped: int = 0
    failed: int = 0
    _heads: dict[str, _Head] = field(default_factory=dict)
    _differing: list[tuple[str, int]] = field(default_factory=list)

    def compare(self, answered: Sequence[Answered], shadowed: Sequence[WindowPrediction]) -> ShadowInferred:
        """Add windows that both models have predicted."""
        distances = []
        differed = 0
        for (window, model), shadow in zip(answered, shadowed, strict=True):
            heads = differences(model, shadow)
            for each in heads:
                head = self._heads.setdefault(each.head, _Head())
                head.windows += 1
                head.differed += each.differs
                head.distance += each.distance
            if heads:
                distances.append(max(each.distance for each in heads))
            if any(each.differs for each in heads):
                differed += 1
                if len(self._differing) < _SHOWN:
                    self._differing.append((window.stream, window.start_ns))
        return ShadowInferred(windows=len(answered), differed=differed, distances=tuple(distances))

    def summary(self, *, model_sha256: str, shadow_sha256: str) -> ShadowSummarised | None:
        """Return the summary since the last call and reset it; None if nothing was added."""
        if not (self._heads or self.skipped or self.failed):
            return None
        summary = ShadowSummarised(
            model_sha256=model_sha256,
            shadow_sha256=shadow_sha256,
            heads=tuple(
                HeadAgreement(name, head.windows, head.differed, head.distance / head.windows)
                for name, head in sorted(self._heads.items())
            ),
            skipped=self.skipped,
            failed=self.failed,
            differing=tuple(self._differing),
        )
        self._heads, self._differing, self.skipped, self.failed = {}, [], 0, 0
        return summary
