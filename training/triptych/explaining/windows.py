"""Explain a trained model's predictions for the windows of a clip, some of them down to pixels and words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from triptych.explaining.gradients import Floats, Gradients, integrated_gradients
from triptych.explaining.rollout import attention_rollout
from triptych.models.checkpoints.card import HeadCard
from triptych.models.checkpoints.checkpoint import Checkpoint
from triptych.models.execution.runtime import RunOptions
from triptych.models.network.collate import WindowBatch, collate, empty_batch
from triptych.models.network.encoders.hashed_words import split_words
from triptych.models.network.encoders.pretrained import PretrainedEncoder
from triptych.models.network.parts import Encoded
from triptych.models.prediction import WindowPrediction
from triptych.models.trained import build_trained_model, probabilities
from triptych.models.window import PreparedWindow
from triptych.schemas.errors import UsageError


@dataclass(frozen=True, slots=True)
class Token:
    """A token's time relative to the window, 0 to 1, and its attention rollout weight."""

    time: float
    weight: float


@dataclass(frozen=True, slots=True)
class WindowDetail:
    """The detailed explanation of one window.

    Attributes:
        gradients: attributions of the score of the window's best label.
        words: the text of each text token; empty for start and end tokens.
        rollout: the tokens by modality; None if the fusion does not support attention rollout.
    """

    gradients: Gradients
    words: tuple[str, ...]
    rollout: Mapping[str, tuple[Token, ...]] | None


@dataclass(frozen=True, slots=True)
class ExplainedWindow:
    """A window, its prediction as the worker makes it, and its detailed explanation if there is one."""

    window: PreparedWindow
    prediction: WindowPrediction
    detail: WindowDetail | None


def explain_windows(
    checkpoint: Checkpoint, windows: Sequence[PreparedWindow], *, detailed_count: int, track: Callable[[int], None]
) -> list[ExplainedWindow]:
    """Explain windows, none of which is empty.

    Args:
        checkpoint: a trained model. Its frozen encoders compute gradients afterwards.
        windows: the windows of one clip, in order.
        detailed_count: number of windows with a detailed explanation, spread evenly over the clip.
        track: called with the number of finished windows.

    Raises:
        UsageError: the first head of the model predicts an embedding, or the model has foundation models as encoders.
    """
    head = checkpoint.card.architecture.targets[0]
    if head.kind == "embedding":
        raise UsageError(f"{checkpoint.card.name}: expected a model that predicts labels or a number, got an embedding")
    encoders = checkpoint.card.architecture.encoders
    if foundation := [modality for modality, encoder in encoders.items() if encoder.kind == "foundation"]:
        raise UsageError(
            f"{checkpoint.card.name}: expected encoders that compute gradients, got foundation models for "
            f"{', '.join(foundation)}: their predictions cannot be traced to pixels and samples"
        )
    options = RunOptions(torch.device("cpu"), checkpoint.card.input.window_ns, max_batch=8)
    predictions = build_trained_model(checkpoint, options).predict(windows)
    chosen = set(np.linspace(0, len(windows) - 1, min(detailed_count, len(windows))).round().astype(int).tolist())
    found = []
    for index, (window, prediction) in enumerate(zip(windows, predictions, strict=True)):
        own = _explain_in_detail(checkpoint, head, window) if index in chosen else None
        found.append(ExplainedWindow(window, prediction, own))
        track(index + 1)
    return found


def _explain_in_detail(checkpoint: Checkpoint, head: HeadCard, window: PreparedWindow) -> WindowDetail:
    model = checkpoint.network.model.eval().requires_grad_(requires_grad=False)
    for encoder in model.encoders.values():
        if isinstance(encoder, PretrainedEncoder):
            encoder.frozen = False
    spec = checkpoint.card.input.spec()
    batch = collate([window], empty_batch(1, len(window.audio_f32), spec), checkpoint.network.tokenize)

    def answer(encoded: Mapping[str, Encoded]) -> Tensor:
        return probabilities(head, model.heads[head.name](model.features(encoded)))

    with torch.no_grad():
        encoded = model.encode(batch)
        best = int(answer(encoded).argmax(-1))
        rolled = attention_rollout(model.fusion, encoded)
    return WindowDetail(
        integrated_gradients(model, batch, lambda tokens: answer(tokens)[:, best]),
        _token_texts(checkpoint, window, batch),
        None if rolled is None else {name: _tokens(encoded[name], rolled[name]) for name in encoded},
    )


def _tokens(encoded: Encoded, weights: Tensor) -> tuple[Token, ...]:
    """Return the unmasked tokens of the only row with their weights float [1, N]; none if they have no times."""
    if encoded.times is None:
        return ()
    there = encoded.mask[0].tolist()
    pairs: list[tuple[float, float]] = list(zip(encoded.times[0].tolist(), weights[0].tolist(), strict=True))
    return tuple(Token(time, weight) for (time, weight), present in zip(pairs, there, strict=True) if present)


def _token_texts(checkpoint: Checkpoint, window: PreparedWindow, batch: WindowBatch) -> tuple[str, ...]:
    """Return the text of each text token: a word for small encoders, a whole cue for pretrained ones."""
    card = checkpoint.card.architecture.encoders.get("text")
    if card is None:
        return ()
    if card.kind == "pretrained":
        return tuple(cue.text for cue in window.cues[: batch.cue_counts[0]])
    words = [word for cue in window.cues for word in ("", *split_words(cue.text), "")]
    return tuple(words[: int(batch.text_mask[0].sum())])


def word_scores(detail: WindowDetail) -> list[tuple[str, float]]:
    """Return the words of a window with their attributions."""
    numbers: Floats | None = detail.gradients.words
    if numbers is None:
        return []
    return [(word, float(number)) for word, number in zip(detail.words, numbers, strict=False) if word]
