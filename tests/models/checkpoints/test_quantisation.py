"""Weights stored smaller come back nearly as they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from triptych.models.checkpoints.card import Card
from triptych.models.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from triptych.models.checkpoints.quantisation import integers, unpacked
from triptych.models.checkpoints.storage import STORAGES, Storage
from triptych.models.network.architecture import Network


@pytest.mark.parametrize("storage", STORAGES)
def test_a_checkpoint_comes_back_from_every_storage(
    storage: Storage, tmp_path: Path, small_card: Callable[..., Card], small_network: Callable[..., Network]
) -> None:
    """In float32, near to what was written, vectors and buffers exactly; the file is as small as it should be."""
    pytest.importorskip("torchao")
    model = small_network().model
    save_checkpoint(tmp_path / "model", model, small_card(), storage=storage)
    back = load_checkpoint(tmp_path, weights_folder=Path("nowhere")).network.model.state_dict()
    nearness = {"fp32": 0.0, "fp16": 1e-3, "bf16": 8e-3, "int8": 8e-3}[storage]
    matrices = {name for name, parameter in model.named_parameters() if parameter.ndim > 1}

    for name, tensor in model.state_dict().items():
        allowed = nearness * float(tensor.abs().max()) if name in matrices else 0.0
        assert back[name].dtype == tensor.dtype, name
        assert float((back[name] - tensor).abs().max()) <= allowed, name
    whole = sum(tensor.numel() * 4 for tensor in model.state_dict().values())
    share = (tmp_path / "model.safetensors").stat().st_size / whole
    assert share < {"fp32": 1.05, "fp16": 0.6, "bf16": 0.6, "int8": 0.4}[storage]


def test_integers_are_those_of_the_rows_own_scale() -> None:
    """The greatest number of each row is 127 steps or so; convolutions keep their shape."""
    pytest.importorskip("torchao")
    matrix = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 7).view(6, 1, 1, 1)
    rounded, scale = integers(matrix)

    assert rounded.dtype == torch.int8
    assert rounded.shape == matrix.shape
    assert scale.tolist() == pytest.approx((matrix.flatten(1).abs().amax(1) / 127.5).tolist(), rel=0.01)
    assert float((rounded * scale.view(6, 1, 1, 1) - matrix).abs().max()) <= 0.51 * float(scale.max())


def test_integers_without_their_scale_are_refused() -> None:
    """A file can be anything."""
    with pytest.raises(ValueError, match="expected a scale for each row"):
        unpacked({"a::int8": torch.zeros(2, 2, dtype=torch.int8)})
