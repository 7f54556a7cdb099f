"""Shard large text encoders across devices (tensor parallelism, Shoeybi et al., 2019, arXiv 1909.08053).

Each device holds some attention heads and a part of the feed-forward layer. Each pair of linear layers is split along
the dimension between them, the first column-wise and the second row-wise, so a pair needs one all-reduce. The module
uses an API that PyTorch marks as experimental. No encoder that Triptych ships is large enough to need it.
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
"""Paths of the linear layers in one layer of BERT, XLM-R or E5; true if a layer is split column-wise."""


def shard_text_encoder(encoder: nn.Module, mesh: DeviceMesh, *, layers: str = "encoder.layer") -> nn.Module:
    """Shard a BERT-like encoder across a device mesh, in place. Each process calls this with the same weights.

    The attention must derive the number of heads from its input (a view as `[B, N, -1, D / H]`), because each process
    holds only some of them. Norms, embeddings and residual connections are replicated.

    Args:
        encoder: the encoder, with its layers in a module list.
        mesh: a one-dimensional device mesh.
        layers: path of the module list.

    Raises:
        UsageError: the list does not exist, or a layer cannot be split into equal parts.
    """
    try:
        blocks = encoder.get_submodule(layers)
    except AttributeError as error:
        raise UsageError(f"layers: the encoder has no module {layers}") from error
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
            raise UsageError(f"{where}: expected a layer {path}, as in BERT") from error
        if not isinstance(layer, nn.Linear):
            raise UsageError(f"{where}.{path}: expected a linear layer, got {type(layer).__name__}")
        features = layer.out_features if by_columns else layer.in_features
        if features % parts:
            raise UsageError(f"{where}.{path}: {features} features cannot be split into {parts} equal parts")
