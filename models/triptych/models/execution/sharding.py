"""Cut large text encoders across devices (tensor parallelism): each holds some heads and some of what lies in between.

Two layers that follow one another are cut along the numbers between them, so the devices talk once for each pair: the
first by its outputs (columns), the second by its inputs (rows), whose sums are then added up. A part of an API that
PyTorch calls experimental; nothing of what Triptych ships is large enough to need it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.distributed.tensor.parallel.style import ParallelStyle

from triptych.schemas.errors import UsageError

BERT_LAYERS: Final[Mapping[str, bool]] = {
    "attention.self.query": True,
    "attention.self.key": True,
    "attention.self.value": True,
    "attention.output.dense": False,
    "intermediate.dense": True,
    "output.dense": False,
}
"""The linear layers inside a layer of BERT, XLM-R, E5 and their like, by path: whether they are cut by columns."""


def shard_text_encoder(encoder: nn.Module, mesh: DeviceMesh, *, layers: str = "encoder.layer") -> nn.Module:
    """Cut an encoder of BERT's kind across a mesh of devices, in place; every process calls it with equal weights.

    Its attention must take the number of heads from the numbers it gets (a view of `[B, N, -1, D / H]`), for each
    process has some of them only. Norms, embeddings and what is added around the layers are whole everywhere.

    Args:
        encoder: with its layers in a list.
        mesh: of one dimension.
        layers: path of that list.

    Raises:
        UsageError: there is no such list, or some layer cannot be cut into so many equal parts.
    """
    try:
        blocks = encoder.get_submodule(layers)
    except AttributeError as error:
        raise UsageError(f"layers: this encoder has no {layers}") from error
    for name, block in blocks.named_children():
        _check(block, f"{layers}.{name}", mesh.size())
        plan: dict[str, ParallelStyle] = {
            path: ColwiseParallel() if by_columns else RowwiseParallel() for path, by_columns in BERT_LAYERS.items()
        }
        parallelize_module(block, mesh, plan)
    return encoder


def _check(block: nn.Module, where: str, parts: int) -> None:
    for path, by_columns in BERT_LAYERS.items():
        try:
            layer = block.get_submodule(path)
        except AttributeError as error:
            raise UsageError(f"{where}: expected a layer {path}, as BERT has") from error
        if not isinstance(layer, nn.Linear):
            raise UsageError(f"{where}.{path}: expected a linear layer, got {type(layer).__name__}")
        numbers = layer.out_features if by_columns else layer.in_features
        if numbers % parts:
            raise UsageError(f"{where}.{path}: {numbers} numbers cannot be cut into {parts} equal parts")
