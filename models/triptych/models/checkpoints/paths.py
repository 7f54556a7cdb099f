"""The paths of the two files of a trained model."""

from __future__ import annotations

import os.path
from pathlib import Path

WEIGHTS_SUFFIX = ".safetensors"
CARD_SUFFIX = ".json"
DEFAULT_NAME = "model"


def checkpoint_files(path: Path) -> tuple[Path, Path]:
    """Return the paths of weights and card.

    Args:
        path: one of the two files, their common path without suffix, or a folder that contains `model.safetensors`.
    """
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises if a folder above is closed to the user
        path = path / DEFAULT_NAME
    elif path.suffix in {WEIGHTS_SUFFIX, CARD_SUFFIX}:
        path = path.with_suffix("")
    return path.with_name(path.name + WEIGHTS_SUFFIX), path.with_name(path.name + CARD_SUFFIX)
