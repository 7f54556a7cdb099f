"""Two processes that share a text encoder give the same result as one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh

from tests.models.execution.sharded_program import Bert
from triptych.models.execution.sharding import BERT_LAYERS, shard_text_encoder
from triptych.schemas.errors import UsageError

ROOT = Path(__file__).parents[3]
PROGRAM = "tests.models.execution.sharded_program"


class Mesh:
    """A stand-in for a device mesh of the given size."""

    def __init__(self, size: int) -> None:
        self._size = size

    def size(self) -> int:
        """Return the number of devices."""
        return self._size


def test_two_processes_give_the_outputs_and_gradients_of_one(tmp_path: Path) -> None:
    """Outputs and gradients are equal, and each process holds half of each sharded matrix."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "-m", PROGRAM, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]

    unsharded = {path: layer.weight.numel() for path in BERT_LAYERS if (layer := _layer(Bert(), path))}
    for rank in range(2):
        results = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(results["sharded_output"], results["unsharded"], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(*results["gradients"], rtol=1e-4, atol=1e-5)
        assert results["held"] == {path: numbers // 2 for path, numbers in unsharded.items()}


@pytest.mark.parametrize(
    ("encoder", "parts", "expected"),
    [
        (nn.Linear(2, 2), 2, "the encoder has no module encoder.layer"),
        (Bert(), 3, "32 features cannot be split into 3"),
        (nn.ModuleDict({"encoder": nn.ModuleDict({"layer": nn.Sequential(nn.Linear(2, 2))})}), 2, "as in BERT"),
    ],
)
def test_an_encoder_that_cannot_be_sharded_is_rejected(encoder: nn.Module, parts: int, expected: str) -> None:
    """The error is raised before the encoder is changed."""
    with pytest.raises(UsageError, match=expected):
        shard_text_encoder(encoder, cast("DeviceMesh", Mesh(parts)))


def _layer(encoder: nn.Module, path: str) -> nn.Linear:
    layer = encoder.get_submodule(f"encoder.layer.0.{path}")
    assert isinstance(layer, nn.Linear)
    return layer
