"""The trained models that come with the package, by their names. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from triptych.models.checkpoints.paths import checkpoint_files

if TYPE_CHECKING:
    from triptych.models.checkpoints.card import Card

FOLDER: Final = Path(__file__).with_name("shipped_models")
"""A folder for each, with `model.safetensors` and `model.json`."""


def shipped_models() -> dict[str, Path]:
    """Return the folder of each model that comes with the package, by name, in the order of the names."""
    return {card.parent.name: card.parent for card in sorted(FOLDER.glob("*/model.json"))}


def measured_accuracy(card: Card) -> float:
    """Return how often a model of the package was right, with all modalities: on a test, or out of fold."""
    if "test" in card.metrics:
        return float(card.metrics["test"]["accuracy"])
    return float(list(card.metrics["cross_validation"]["subsets"].values())[-1]["accuracy"])


def located(name: Path) -> Path:
    """Return where the checkpoint lies that a user names: a path, or the name of a model that comes with the package.

    What lies at the path goes first, so that a folder of one's own may have such a name.
    """
    own = checkpoint_files(name)[1]
    return name if own.is_file() else shipped_models().get(str(name), name)
