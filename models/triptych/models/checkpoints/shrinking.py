"""Rebuild pairs of consecutive layers with fewer channels between them (structured pruning).

Masking channels with zeros would keep the network as large and slow as before. The card records how many channels each
pair keeps (`Architecture.kept`), so that the smaller network can be built again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from triptych.schemas.errors import UsageError

Layer = nn.Linear | nn.Conv2d
_ELEMENTWISE = (nn.GELU, nn.ReLU, nn.SiLU, nn.Dropout)
"""Elementwise layers, which work with any number of channels."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Two consecutive layers, the second of which is the only reader of the first one's output channels.

    Attributes:
        owner: the sequence that contains both layers.
        first: index of the first layer in `owner`.
        second: index of the second layer.
        norm: index of a group norm between them, if there is one.
    """

    owner: nn.Sequential
    first: int
    second: int
    norm: int | None

    @property
    def layers(self) -> tuple[Layer, Layer]:
        """Return both layers."""
        first, second = self.owner[self.first], self.owner[self.second]
        assert isinstance(first, Layer)  # noqa: S101 - chains are made of nothing else
        assert isinstance(second, Layer)  # noqa: S101
        return first, second

    @property
    def groups(self) -> int:
        """Return the number of norm groups. The number of channels must be a multiple of it."""
        norm = None if self.norm is None else self.owner[self.norm]
        return norm.num_groups if isinstance(norm, nn.GroupNorm) else 1

    @property
    def width(self) -> int:
        """Return the number of channels between the layers."""
        return int(self.layers[0].weight.shape[0])

    def keep(self, kept: Tensor) -> None:
        """Rebuild both layers, and the norm, with only the channels of the indices `kept`, int64 [K]."""
        first, second = self.layers
        self.owner[self.first] = _rebuild(first, weight=first.weight[kept], bias=_select(first.bias, kept))
        self.owner[self.second] = _rebuild(second, weight=second.weight[:, kept], bias=second.bias)
        norm = None if self.norm is None else self.owner[self.norm]
        if self.norm is not None and isinstance(norm, nn.GroupNorm):
            smaller = nn.GroupNorm(norm.num_groups, len(kept), norm.eps)
            smaller.weight, smaller.bias = nn.Parameter(norm.weight[kept]), nn.Parameter(norm.bias[kept])
            self.owner[self.norm] = smaller


def chains(model: nn.Module, *, without: Iterable[str] = ()) -> dict[str, Chain]:
    """Return the chains of a network by the path of their first layer.

    Args:
        model: the network.
        without: modalities whose encoders are left out.
    """
    hidden = tuple(f"encoders.{modality}." for modality in without)
    return {
        f"{name}.{chain.first}": chain
        for name, module in model.named_modules()
        if isinstance(module, nn.Sequential) and not f"{name}.".startswith(hidden)
        for chain in _chains_of(module)
    }


def shrink(model: nn.Module, kept: Mapping[str, int]) -> None:
    """Reduce the chains of a newly built network to the numbers of channels that a card records.

    Raises:
        UsageError: a path is not a chain, or the chain cannot have that number of channels.
    """
    known = chains(model)
    for path, count in kept.items():
        chain = known.get(path)
        if chain is None:
            raise UsageError(f"kept: {path} is not a layer that can be pruned")
        if not 0 < count <= chain.width or count % chain.groups:
            raise UsageError(
                f"kept: expected for {path} up to {chain.width} channels, a multiple of {chain.groups}, got {count}"
            )
        chain.keep(torch.arange(count))


def _chains_of(sequence: nn.Sequential) -> Iterator[Chain]:
    first: int | None = None
    norm: int | None = None
    for index, module in enumerate(sequence):
        if isinstance(module, Layer):
            if first is not None and type(sequence[first]) is type(module):
                yield Chain(sequence, first, index, norm)
            is_plain = isinstance(module, nn.Linear) or module.groups == 1
            first, norm = (index if is_plain else None), None
        elif isinstance(module, nn.GroupNorm) and norm is None:
            norm = index
        elif not isinstance(module, _ELEMENTWISE):
            first = None


def _select(bias: Tensor | None, kept: Tensor) -> Tensor | None:
    return None if bias is None else bias[kept]


def _rebuild(layer: Layer, *, weight: Tensor, bias: Tensor | None) -> Layer:
    """Return a layer of the same kind with a smaller weight [O', I', ...] and its bias [O']."""
    outputs, inputs = weight.shape[:2]
    smaller: Layer
    if isinstance(layer, nn.Conv2d):
        shape: dict[str, Any] = {
            name: getattr(layer, name) for name in ("kernel_size", "stride", "padding", "dilation", "padding_mode")
        }
        smaller = nn.Conv2d(inputs, outputs, **shape, bias=bias is not None)
    else:
        smaller = nn.Linear(inputs, outputs, bias=bias is not None)
    smaller.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        smaller.bias = nn.Parameter(bias.detach().clone())
    return smaller
