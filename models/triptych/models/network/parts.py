"""The interfaces of the parts of a fused model: encoders, projector, fusion and heads.

Shapes use these letters: B windows in a batch, N tokens of a modality, D dimensions of a token, K labels of a head.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from triptych.models.network.collate import WindowBatch


class Accelerate(Protocol):
    """Makes faster equivalents of frozen networks."""

    def __call__(
        self, name: str, network: nn.Module, examples: Sequence[Tensor], *, any_size: bool = False
    ) -> nn.Module:
        """Return a faster equivalent of a network, or the network itself.

        Args:
            name: name of the network, for the log.
            network: the network.
            examples: inputs of the shapes to come, of which the first dimension may change.
            any_size: whether the last two dimensions may change as well.
        """


class Encoded(NamedTuple):
    """One modality as tokens.

    Attributes:
        tokens: float [B, N, D]. Masked tokens may hold any finite values.
        mask: bool [B, N], true for tokens that exist.
        times: float32 [B, N], the time of each token relative to the window, 0 to 1; None if the encoder has no times.
    """

    tokens: Tensor
    mask: Tensor
    times: Tensor | None = None

    @property
    def present(self) -> Tensor:
        """Return which rows have the modality, bool [B]."""
        return self.mask.any(1)


class Fused(NamedTuple):
    """The output of a fusion.

    Attributes:
        vector: float [B, D], one vector per window.
        by_head: float [B, D] for heads with a vector of their own, by head name.
        shared: float [B, D] of length 1 by modality, from a fusion that maps the modalities to one space. Rows without
            the modality hold arbitrary values.
    """

    vector: Tensor
    by_head: Mapping[str, Tensor] = MappingProxyType({})
    shared: Mapping[str, Tensor] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Features:
    """The input of the heads: the tokens of each modality that any row has, and the output of the fusion."""

    encoded: Mapping[str, Encoded]
    fused: Fused | None


class Encoder(nn.Module, ABC):
    """Encode one modality of a batch as tokens of `dim` dimensions. It is only called if some row has the modality."""

    dim: int

    @abstractmethod
    def forward(self, batch: WindowBatch) -> Encoded:
        """Return tokens float [B, N, dim] and their mask. Tokens of rows without the modality are finite and masked."""

    def use_faster(self, accelerate: Accelerate) -> None:
        """Replace frozen networks by what `accelerate` returns for them. By default there are none."""


class Projector(nn.Module, ABC):
    """Project the tokens of all modalities to the same dimension, so that a fusion can process them together."""

    @abstractmethod
    def forward(self, encoded: Mapping[str, Encoded]) -> dict[str, Encoded]:
        """Return each modality projected from [B, N, D_in] to [B, N, D]. Masks and times do not change."""


class Fusion(nn.Module, ABC):
    """Combine the tokens of all modalities into one vector per window."""

    @abstractmethod
    def forward(self, encoded: Mapping[str, Encoded]) -> Fused:
        """Fuse tokens [B, N, D] by modality into a vector [B, D]. Modalities that no row has are not in the mapping.

        The output of a row must not depend on other rows, and must be finite for a row without any tokens.
        """


class Head(nn.Module, ABC):
    """Predict one output from the tokens of the modality `source`, of all modalities, or from the fused vector.

    A head is not called if no row of the batch has its source.
    """

    FUSED = "fused"
    TOKENS = "tokens"
    source: str

    @abstractmethod
    def forward(self, features: Features) -> Tensor:
        """Return the output, float [B, ...]. Rows without the source may hold any finite values."""
