"""A difference between two results, and how often a field differs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResultDifference:
    """One difference between two results. `path` is where in the JSON document."""

    path: str
    left: object
    right: object

    @property
    def size(self) -> float | None:
        """The distance between two numbers; None if these are not both numbers."""
        if isinstance(self.left, bool) or isinstance(self.right, bool):
            return None
        if isinstance(self.left, int | float) and isinstance(self.right, int | float):
            return abs(self.left - self.right)
        return None


@dataclass(slots=True)
class FieldDifferences:
    """How often a field differs, and by how much at most if it is a number."""

    results: int = 0
    largest: float | None = None
    example: tuple[str, ResultDifference] | None = None

    def note(self, result_id: str, found: ResultDifference) -> None:
        """Count one difference."""
        self.results += 1
        if self.example is None:
            self.example = result_id, found
        if found.size is not None and (self.largest is None or found.size > self.largest):
            self.largest, self.example = found.size, (result_id, found)
