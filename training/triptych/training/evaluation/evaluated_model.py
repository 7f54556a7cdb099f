"""A checkpoint as a model to evaluate: the network that the worker serves, returning logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from triptych.models.checkpoints.checkpoint import Checkpoint
from triptych.models.network.collate import WindowBatch, collate, empty_batch
from triptych.models.window import PreparedWindow
from triptych.schemas.errors import UsageError
from triptych.training.data.example import MODALITIES, Task
from triptych.training.evaluation.suite import EvaluatedModel


def evaluated_model(checkpoint: Checkpoint, task: Task, device: torch.device) -> EvaluatedModel:
    """Return a checkpoint as a model to evaluate on a task.

    Raises:
        UsageError: it was trained for other labels or other windows.
    """
    card, head = checkpoint.card, checkpoint.card.architecture.targets[0]
    ours = (head.kind, head.labels, card.input.window_ns, *_prepared(card.input.spec()))
    wanted = (task.kind, task.labels, task.window_ns, *_prepared(task.spec))
    if ours != wanted:
        names = ("kind", "labels", "window_ns", "frames", "height", "width", "sample_rate_hz", "features")
        wrong = [
            f"{name} {actual} instead of {expected}"
            for name, actual, expected in zip(names, ours, wanted, strict=True)
            if actual != expected
        ]
        raise UsageError(f"the model {card.name} was not trained for {task.name}: it has {'; '.join(wrong)}")
    reads = tuple(modality for modality in MODALITIES if modality in card.architecture.encoders)
    return EvaluatedModel(_NetworkPredictor(checkpoint, device), reads, head.temperature)


class _NetworkPredictor:
    """Run the network on windows."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        self._model = checkpoint.network.model.eval().to(device)
        self._tokenize = checkpoint.network.tokenize
        self._spec = checkpoint.card.input.spec()
        self._head = checkpoint.card.architecture.targets[0].name
        self._device = device
        self._buffers: dict[int, WindowBatch] = {}

    @torch.inference_mode()
    def __call__(self, windows: Sequence[PreparedWindow]) -> NDArray[np.float32]:
        """Return the target head's output: float32 [B, K], or [B] for a regression. No window may be empty."""
        rows = len(windows)
        if rows not in self._buffers:
            self._buffers[rows] = empty_batch(rows, len(windows[0].audio_f32), self._spec)
        batch = collate(windows, self._buffers[rows], self._tokenize).to(self._device)
        logits: NDArray[np.float32] = self._model(batch)[self._head].float().cpu().numpy()
        return logits


def _prepared(spec: object) -> tuple[object, ...]:
    """Return the input properties that decide how windows are prepared. The number of text tokens is none of them."""
    return tuple(getattr(spec, name) for name in ("frames", "height", "width", "sample_rate_hz", "features"))
