"""Weights in a file: in full, in half precision, or as integers of 8 bits with a scale for each row.

They are computed with in float32 whatever they are stored as: this makes a file smaller, not a network faster. Reading
needs nothing but torch; to make integers torchao is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from triptych.models.checkpoints.storage import Storage

_HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}
_INTEGERS = "::int8"
_SCALES = "::scale"
_LEAST_NUMBERS = 1_024
"""A smaller tensor would save less than a kilobyte or so."""


def packed(tensors: Mapping[str, Tensor], model: nn.Module, storage: Storage) -> dict[str, Tensor]:
    """Return what is written to a file: of a network's tensors, its matrices smaller.

    Buffers (spectrum filters, means of targets) and vectors stay as they are: they are few, and much depends on them.
    """
    matrices = {
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim > 1 and parameter.numel() >= _LEAST_NUMBERS and parameter.is_floating_point()
    }
    written: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if storage == "fp32" or name not in matrices:
            written[name] = tensor
        elif storage == "int8":
            written[name + _INTEGERS], written[name + _SCALES] = integers(tensor)
        else:
            written[name] = tensor.to(_HALVES[storage])
    return written


def unpacked(written: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a file as they are computed with; whatever they were stored as."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in written.items():
        if name.endswith(_SCALES):
            continue
        if name.endswith(_INTEGERS):
            own = name.removesuffix(_INTEGERS)
            scale = written.get(own + _SCALES)
            if scale is None or tensor.ndim == 0 or scale.shape != tensor.shape[:1]:
                raise ValueError(f"{own}: expected a scale for each row")
            tensors[own] = tensor.float() * scale.view(-1, *[1] * (tensor.ndim - 1))
        else:
            tensors[name] = tensor.float() if tensor.dtype in _HALVES.values() else tensor
    return tensors


def integers(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return a matrix [O, …] as int8 [O, …] and the scale of each row, float32 [O], as torchao rounds them."""
    from torchao.quantization import Int8WeightOnlyConfig, quantize_  # noqa: PLC0415 - an extra

    layer = nn.Linear(matrix[0].numel(), matrix.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(matrix.detach().float().flatten(1), requires_grad=False)
    quantize_(layer, Int8WeightOnlyConfig())
    quantized: Any = layer.weight  # a tensor of torchao's, which ships no types
    rounded: Tensor = quantized.qdata
    scale: Tensor = quantized.scale
    return rounded.reshape(matrix.shape).contiguous(), scale.float().flatten().contiguous()
