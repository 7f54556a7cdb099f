"""Train a toy in one or several processes. The test of distributed training starts it with torchrun."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from tests.training.toys import ToyDataset, quick
from triptych.training.callbacks import ValidationRecord
from triptych.training.config import LossConfig, NetworkConfig
from triptych.training.run import TrainingPlan, train


class Silent:
    """Ignores all progress."""

    def on_step(self, step: int, loss: float) -> None:
        """Do nothing."""

    def on_validation(self, look: ValidationRecord) -> None:
        """Do nothing."""


def main(folder: Path) -> None:
    """Train without randomness except the order, so that several processes must give the result of one."""
    torch.set_num_threads(1)
    config = quick(
        steps=6,
        augment=False,
        optimizer="sgd",  # of a gradient that should be zero, Adam makes a step of full size either way
        evaluate_every=3,
        network=NetworkConfig(width=16, dropout=0, modalities=("video", "text")),
        loss=LossConfig(modality_dropout=0, parts=0),
    )
    plan = TrainingPlan("toy", folder, 1, resume=False, weights_folder=Path("nowhere"))
    train(ToyDataset(), config, plan, device=torch.device("cpu"), callback_for_seed=lambda _seed: Silent())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
