"""The parts of a fused model: an encoder for each modality, a fusion, heads; all are injected into `FusedModel`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from torch import Tensor, nn

from triptych.models.network.collate import WindowBatch


class Encoded(NamedTuple):
    """One modality as tokens: [B, N, D], bool [B, N] that says which are there, and when each is, [B, N] in 0 to 1.

    Who does not care when leaves the times out.
    """

    tokens: Tensor
    mask: Tensor
    times: Tensor | None = None

    @property
    def present(self) -> Tensor:
        """Return the rows that have the modality, bool [B]."""
        return self.mask.any(1)


class Fused(NamedTuple):
    """What a fusion makes of a batch.

    Attributes:
        vector: [B, D], one for each window.
        by_head: [B, D] for the heads that get a vector of their own, by the head's name.
        shared: [B, D] of length 1, by modality, of a fusion that brings the modalities into one space; rows without
            the modality hold anything.
    """

    vector: Tensor
    by_head: Mapping[str, Tensor] = MappingProxyType({})
    shared: Mapping[str, Tensor] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Features:
    """What heads may read: the tokens of each modality that any row has, and what the fusion made of them."""

    encoded: Mapping[str, Encoded]
    fused: Fused | None


class Encoder(nn.Module, ABC):
    """Turn one modality of a batch into tokens of `dim` numbers. Called only when some row has the modality."""

    dim: int

    @abstractmethod
    def forward(self, batch: WindowBatch) -> Encoded:
        """Encode; the tokens of rows without the modality may hold anything finite, their mask is false."""


class Projector(nn.Module, ABC):
    """Bring the tokens of all modalities to one width, so that a fusion may put them side by side."""

    @abstractmethod
    def forward(self, encoded: Mapping[str, Encoded]) -> dict[str, Encoded]:
        """Project each modality; masks and times stay."""


class Fusion(nn.Module, ABC):
    """Make one vector [B, D] of the tokens of all modalities. A modality that no row has is not among them."""

    @abstractmethod
    def forward(self, encoded: Mapping[str, Encoded]) -> Fused:
        """Fuse; a row must not depend on what else is in the batch, and a row without anything must stay finite."""


class Head(nn.Module, ABC):
    """Read one thing off the features: the tokens of the modality `source`, of all modalities, or what is fused.

    A head is not called while its source is missing from the whole batch.
    """

    FUSED = "fused"
    TOKENS = "tokens"
    source: str

    @abstractmethod
    def forward(self, features: Features) -> Tensor:
        """Return [B, …]; rows without the source may hold anything finite."""
