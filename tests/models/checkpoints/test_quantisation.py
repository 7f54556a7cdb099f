"""Quantised weights are close to the originals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from triptych.models.checkpoints.card import Card
from triptych.models.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from triptych.models.checkpoints.quantisation import dequantise, quantise_rows
from triptych.models.checkpoints.storage import STORAGES, Storage
from triptych.models.network.architecture import Network


@pytest.mark.parametrize("storage", STORAGES)
def test_a_checkpoint_can_be_loaded_from_every_storage_format(
    storage: Storage, tmp_path: Path, small_card: Callable[..., Card], small_network: Callable[..., Network]
) -> None:
    """Loaded weights are float32 and close to the originals.

    Vectors and buffers are exact. The file has the expected size.
    """
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
    total_bytes = sum(tensor.numel() * 4 for tensor in model.state_dict().values())
    share = (tmp_path / "model.safetensors").stat().st_size / total_bytes
    assert share < {"fp32": 1.05, "fp16": 0.6, "bf16": 0.6, "int8": 0.4}[storage]


def test_each_row_has_its_own_scale() -> None:
    """The largest value of each row is about 127 steps; convolutions keep their shape."""
    pytest.importorskip("torchao")
    matrix = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 7).view(6, 1, 1, 1)
    rounded, scale = quantise_rows(matrix)

    assert rounded.dtype == torch.int8
    assert rounded.shape == matrix.shape
    assert scale.tolist() == pytest.approx((matrix.flatten(1).abs().amax(1) / 127.5).tolist(), rel=0.01)
    assert float((rounded * scale.view(6, 1, 1, 1) - matrix).abs().max()) <= 0.51 * float(scale.max())


def test_int8_without_scales_is_rejected() -> None:
    """A file with int8 tensors must contain their scales."""
    with pytest.raises(ValueError, match="expected one scale per row"):
        dequantise({"a::int8": torch.zeros(2, 2, dtype=torch.int8)})
