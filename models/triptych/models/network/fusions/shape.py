"""What every trained fusion is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FusionShape:
    """Say what a fusion works on.

    Attributes:
        modalities: that may come, in the order of their names.
        width: of the tokens that come in, and of the vector that goes out.
        heads: names of the heads that read what is fused.
        dropout: share of numbers left out while training.
    """

    modalities: tuple[str, ...]
    width: int
    heads: tuple[str, ...] = ()
    dropout: float = 0.1
