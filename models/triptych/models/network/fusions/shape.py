"""The parameters that all trained fusions share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FusionShape:
    """The input and output sizes of a fusion.

    Attributes:
        modalities: the modalities of the model, sorted by name.
        width: dimensions of the input tokens and of the output vector.
        heads: names of the heads that read the fused vector.
        dropout: dropout probability.
    """

    modalities: tuple[str, ...]
    width: int
    heads: tuple[str, ...] = ()
    dropout: float = 0.1
