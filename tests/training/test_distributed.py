"""Two processes started by torchrun learn the same as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.training.distributed_program import main

ROOT = Path(__file__).parents[2]
PROGRAM = "tests.training.distributed_program"


def test_two_processes_learn_the_same_as_one(tmp_path: Path) -> None:
    """Each gets half of every batch; the mean of their gradients is that of the whole batch."""
    main(tmp_path / "one")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "-m", PROGRAM, str(tmp_path / "two")],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]

    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-4, msg=name)
    assert json.loads((tmp_path / "two" / "model.json").read_text())["training"]["processes"] == 2
