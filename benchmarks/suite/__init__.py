"""The benchmarks of `python -m benchmarks`. Each module has a function for each benchmark that it defines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """How much work a benchmark does: the full amount, or a share that only shows that it runs."""

    is_small: bool = False

    def __call__(self, full: int, small: int) -> int:
        """Return one of the two."""
        return small if self.is_small else full
