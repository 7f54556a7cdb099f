"""Storage formats of weights: float32, half precision, or int8 with one scale per row.

Weights are always converted back to float32 for computation, so quantisation makes the file smaller, not the network
faster. Writing int8 needs torchao; reading needs only torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from triptych.models.checkpoints.storage import Storage

_HALF_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
_INT8_SUFFIX = "::int8"
_SCALE_SUFFIX = "::scale"
_MIN_ELEMENTS = 1_024
"""Smaller tensors are not quantised: each would save only about a kilobyte."""


def quantise(tensors: Mapping[str, Tensor], model: nn.Module, storage: Storage) -> dict[str, Tensor]:
    """Return the tensors as they are written to a file, with the weight matrices in the given format.

    For int8, a matrix float [O, ...] becomes the two tensors NAME::int8, int8 [O, ...], and NAME::scale, float32 [O].
    Buffers (such as spectrum filters and target statistics) and vectors stay in full precision: they are small, and the
    output is sensitive to them.
    """
    matrices = {
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim > 1 and parameter.numel() >= _MIN_ELEMENTS and parameter.is_floating_point()
    }
    written: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if storage == "fp32" or name not in matrices:
            written[name] = tensor
        elif storage == "int8":
            written[name + _INT8_SUFFIX], written[name + _SCALE_SUFFIX] = quantise_rows(tensor)
        else:
            written[name] = tensor.to(_HALF_DTYPES[storage])
    return written


def dequantise(written: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a file in the precision of computation: float32 for all quantised tensors.

    Raises:
        ValueError: an int8 tensor has no matching scales.
    """
    tensors: dict[str, Tensor] = {}
    for name, tensor in written.items():
        if name.endswith(_SCALE_SUFFIX):
            continue
        if name.endswith(_INT8_SUFFIX):
            original = name.removesuffix(_INT8_SUFFIX)
            scale = written.get(original + _SCALE_SUFFIX)
            if scale is None or tensor.ndim == 0 or scale.shape != tensor.shape[:1]:
                raise ValueError(f"{original}: expected one scale per row")
            tensors[original] = tensor.float() * scale.view(-1, *[1] * (tensor.ndim - 1))
        else:
            tensors[name] = tensor.float() if tensor.dtype in _HALF_DTYPES.values() else tensor
    return tensors


def quantise_rows(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise a matrix, float [O, ...], with torchao: return int8 [O, ...] and the scale of each row, float32 [O]."""
    from torchao.quantization import Int8WeightOnlyConfig, quantize_  # noqa: PLC0415 - an extra

    layer = nn.Linear(matrix[0].numel(), matrix.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(matrix.detach().float().flatten(1), requires_grad=False)
    quantize_(layer, Int8WeightOnlyConfig())
    quantized: Any = layer.weight  # a tensor subclass of torchao, which has no type annotations
    rounded: Tensor = quantized.qdata
    scale: Tensor = quantized.scale
    return rounded.reshape(matrix.shape).contiguous(), scale.float().flatten().contiguous()
