"""The parts of a fused model: an encoder for each modality, a fusion, heads; all are injected into `FusedModel`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from triptych.worker.models.batch import WindowBatch


class Encoded(NamedTuple):
    """One modality as tokens: [B, N, D], and bool [B, N] that says which are there."""

    tokens: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True)
class Features:
    """What heads may read: the tokens of each modality that any row has, and one vector [B, D] for each window."""

    encoded: Mapping[str, Encoded]
    fused: Tensor | None


class Encoder(nn.Module, ABC):
    """Turn one modality of a batch into tokens of `dim` numbers. Called only when some row has the modality."""

    dim: int

    @abstractmethod
    def forward(self, batch: WindowBatch) -> Encoded:
        """Encode; the tokens of rows without the modality may hold anything, their mask is false."""


class Fusion(nn.Module, ABC):
    """Make one vector [B, D] of the tokens of all modalities. A modality that no row has is not among them."""

    @abstractmethod
    def forward(self, encoded: Mapping[str, Encoded]) -> Tensor:
        """Fuse; a row must not depend on what else is in the batch."""


class Head(nn.Module, ABC):
    """Read one thing off the features: the tokens of the modality `source`, or the fused vector.

    A head is not called while its source is missing from the whole batch.
    """

    FUSED = "fused"
    source: str

    @abstractmethod
    def forward(self, features: Features) -> Tensor:
        """Return [B, …]; rows without the source may hold anything finite."""
