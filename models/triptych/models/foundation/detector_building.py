"""Build a detector from the files of a foundation model. This is the only module that selects the adapter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from triptych.models.foundation.detectors import CLOSED_ARCHITECTURES, CLOSED_THRESHOLD, ClosedDetector
from triptych.models.foundation.files.model_files import ModelFiles, find_model_files
from triptych.models.foundation.files.model_source import ModelSource
from triptych.models.foundation.open_vocabulary import OPEN_ARCHITECTURES, OpenVocabularyDetector
from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    from triptych.models.detection.detector import Detector


def build_foundation_detector(
    source: ModelSource | str | ModelFiles,
    device: torch.device,
    *,
    labels: Sequence[str] = (),
    threshold: float | None = None,
) -> Detector:
    """Load the detector of a foundation model. Blocks while all files are read twice: to verify and to load them.

    Args:
        source: where its files are.
        device: the device to run on.
        labels: what to find, for a detector of an open vocabulary. Another one has its own labels.
        threshold: the lowest score of a detection; None for the library's default.

    Raises:
        UsageError: the files are not on this machine, were changed, or hold no detector; or labels are missing, or
            given to a detector that has its own.
    """
    files = source if isinstance(source, ModelFiles) else find_model_files(source)
    if files.architecture in OPEN_ARCHITECTURES:
        return OpenVocabularyDetector(files, device, labels, threshold)
    if files.architecture not in CLOSED_ARCHITECTURES:
        known = ", ".join((*CLOSED_ARCHITECTURES, *OPEN_ARCHITECTURES))
        raise UsageError(f"{files.source}: expected a detector ({known}), got a model of type {files.architecture}")
    if labels:
        raise UsageError(
            f"{files.source}: a detector of the type {files.architecture} finds the labels that it was trained with; "
            f"unset model.detector_labels, or use one of an open vocabulary ({', '.join(OPEN_ARCHITECTURES)})"
        )
    return ClosedDetector(files, device, CLOSED_THRESHOLD if threshold is None else threshold)
