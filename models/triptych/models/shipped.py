"""The trained models that are part of the package, by name. This module imports nothing heavy."""

from __future__ import annotations

import os.path
from pathlib import Path
from typing import TYPE_CHECKING, Final

from triptych.models.checkpoints.paths import checkpoint_files

if TYPE_CHECKING:
    from triptych.models.checkpoints.card import Card

FOLDER: Final = Path(__file__).with_name("shipped_models")
"""One folder per model, with `model.safetensors` and `model.json`."""


def shipped_models() -> dict[str, Path]:
    """Return the folder of each model in the package by name, sorted by name."""
    return {card.parent.name: card.parent for card in sorted(FOLDER.glob("*/model.json"))}


def measured_accuracy(card: Card) -> float:
    """Return the accuracy of a shipped model with all modalities, on the test split or in cross-validation."""
    if "test" in card.metrics:
        return float(card.metrics["test"]["accuracy"])
    return float(list(card.metrics["cross_validation"]["subsets"].values())[-1]["accuracy"])


def resolve_checkpoint(name: Path) -> Path:
    """Return the path of a checkpoint that the user gives as a path or as the name of a shipped model.

    A file at the path takes precedence, so a user's own folder may have the same name as a shipped model.
    """
    if str(name) not in shipped_models():
        return name
    own = checkpoint_files(name)[1]
    return name if os.path.isfile(own) else shipped_models()[str(name)]  # noqa: PTH113 - Path.is_file raises if a folder is closed
