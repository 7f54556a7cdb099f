"""Rebuild layers smaller: what lies between two layers of a chain loses some of its numbers, and so do both.

Masks of zeros would leave a network as large and as slow as it was. A card says how many numbers each chain has left
(`Architecture.kept`), so that the smaller network can be built again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from triptych.schemas.errors import UsageError

Layer = nn.Linear | nn.Conv2d
_BETWEEN = (nn.GELU, nn.ReLU, nn.SiLU, nn.Dropout)
"""What treats each number by itself, and so does not mind how many there are."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Two layers of which the second reads nothing but what the first says.

    Attributes:
        owner: the sequence that both stand in.
        first: place of the first layer in it.
        second: place of the second.
        norm: place of a norm over groups of channels between them.
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
        """Return into how many equal groups the numbers in between must fall."""
        norm = None if self.norm is None else self.owner[self.norm]
        return norm.num_groups if isinstance(norm, nn.GroupNorm) else 1

    @property
    def width(self) -> int:
        """Return how many numbers lie in between."""
        return int(self.layers[0].weight.shape[0])

    def keep(self, kept: Tensor) -> None:
        """Rebuild both layers, and the norm, with the numbers [K] that are kept."""
        first, second = self.layers
        self.owner[self.first] = _with(first, weight=first.weight[kept], bias=_some(first.bias, kept))
        self.owner[self.second] = _with(second, weight=second.weight[:, kept], bias=second.bias)
        norm = None if self.norm is None else self.owner[self.norm]
        if self.norm is not None and isinstance(norm, nn.GroupNorm):
            smaller = nn.GroupNorm(norm.num_groups, len(kept), norm.eps)
            smaller.weight, smaller.bias = nn.Parameter(norm.weight[kept]), nn.Parameter(norm.bias[kept])
            self.owner[self.norm] = smaller


def chains(model: nn.Module, *, without: Iterable[str] = ()) -> dict[str, Chain]:
    """Return the chains of a network by the path of the first layer; those of encoders `without` are left out."""
    hidden = tuple(f"encoders.{modality}." for modality in without)
    return {
        f"{name}.{chain.first}": chain
        for name, module in model.named_modules()
        if isinstance(module, nn.Sequential) and not f"{name}.".startswith(hidden)
        for chain in _chains_of(module)
    }


def shrink(model: nn.Module, kept: Mapping[str, int]) -> None:
    """Give the chains of a network that was just built as many numbers as a card says.

    Raises:
        UsageError: there is no such chain, or it cannot have so many.
    """
    known = chains(model)
    for path, count in kept.items():
        chain = known.get(path)
        if chain is None:
            raise UsageError(f"kept: this network has no layer {path} that could be smaller")
        if not 0 < count <= chain.width or count % chain.groups:
            raise UsageError(
                f"kept: {path} has {chain.width} numbers in {chain.groups} groups; {count} of them cannot be kept"
            )
        chain.keep(torch.arange(count))


def _chains_of(sequence: nn.Sequential) -> Iterator[Chain]:
    first: int | None = None
    norm: int | None = None
    for place, module in enumerate(sequence):
        if isinstance(module, Layer):
            if first is not None and type(sequence[first]) is type(module):
                yield Chain(sequence, first, place, norm)
            is_plain = isinstance(module, nn.Linear) or module.groups == 1
            first, norm = (place if is_plain else None), None
        elif isinstance(module, nn.GroupNorm) and norm is None:
            norm = place
        elif not isinstance(module, _BETWEEN):
            first = None


def _some(bias: Tensor | None, kept: Tensor) -> Tensor | None:
    return None if bias is None else bias[kept]


def _with(layer: Layer, *, weight: Tensor, bias: Tensor | None) -> Layer:
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
