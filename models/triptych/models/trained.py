"""Serve a trained model: predictions, calibrated confidence, and the contribution of each modality and time slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import cast

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.checkpoints.card import Card, HeadCard
from triptych.models.checkpoints.checkpoint import Checkpoint
from triptych.models.execution.export_cache import GraphSource, use_graph
from triptych.models.execution.runtime import Outputs, RunOptions, TorchModel
from triptych.models.model import ModelInfo
from triptych.models.network.collate import WindowBatch
from triptych.models.network.fused import FusedModel
from triptych.models.network.parts import Encoded, Features, Head
from triptych.models.network.shapley import shapley_in_time, shapley_values, shares
from triptych.models.observed.language import begin_to_load_languages, cue_language
from triptych.models.observed.observations import Observer
from triptych.models.prediction import HeadScore, PredictedTimeSlice, WindowPrediction
from triptych.models.window import PreparedWindow

SHOWN_LABELS = 32
"""The maximum number of labels per head, best first. Rules treat a label that is not included as 0."""
TIME_SLOTS = 4
"""Number of equal time slices of a window. Each additional slice doubles the cost of their contributions."""
MODALITIES = ("video", "audio", "text")
_WIRE_NAMES = {"video": "video", "audio": "audio", "text": "subtitles"}
_EMBEDDING_DIGITS = 5
_SHARE_DIGITS = 4
_PREFIX = "target:"
_SHARES = "shares"
_WHEN = "when"
_EMBEDDING = "embedding"

_log = structlog.get_logger(__name__)


class ServedNetwork(nn.Module):
    """Run a trained network, and its fusion once more for each subset of modalities and of time slices.

    Args:
        model: the network.
        card: the card of its checkpoint.
        observers: heads that read the output of the encoders directly, by name.
    """

    prior: Tensor

    def __init__(self, model: FusedModel, card: Card, observers: Mapping[str, Head] = MappingProxyType({})) -> None:
        super().__init__()
        self.model = model
        self.observers = nn.ModuleDict(observers)
        self._targets = card.architecture.targets
        self.register_buffer("prior", torch.tensor(_prior(self._targets[0])), persistent=False)

    def forward(self, batch: WindowBatch) -> dict[str, Tensor]:
        """Return the outputs of the model by name. An output is missing if no row of the batch has its input.

        Outputs:
            target:NAME: float [B, K], the logits of the target head NAME (regression: [B], embedding: [B, D]).
            shares: float32 [B, M], the share of each of `MODALITIES` in the best label of the first target head.
            when: float32 [B, `TIME_SLOTS`], the contribution of each time slice to that label.
            embedding: float32 [B, D], of length 1.
            other names: the outputs of the observers.
        """
        tokens = self.model.tokens(batch)
        encoded = self.model.project(tokens)
        features = self.model.features(encoded)
        answers = self.model.apply_heads(features)
        outputs = {f"{_PREFIX}{head.name}": answers[head.name] for head in self._targets if head.name in answers}
        embedding_heads = [head.name for head in self._targets if head.kind == "embedding" and head.name in answers]
        if embedding_heads:
            outputs[_EMBEDDING] = answers[embedding_heads[0]]
        elif features.fused is not None:
            outputs[_EMBEDDING] = functional.normalize(features.fused.vector.float(), dim=-1)
        first = self._targets[0]
        if first.name in answers and first.kind != "embedding":
            outputs |= self._reasons(encoded, probabilities(first, answers[first.name]).argmax(-1))
        observers = cast("Mapping[str, Head]", dict(self.observers.items()))
        encoder_tokens = Features(tokens, None)
        return outputs | {name: head(encoder_tokens) for name, head in observers.items() if head.source in tokens}

    def _reasons(self, encoded: Mapping[str, Encoded], best: Tensor) -> dict[str, Tensor]:
        """Return the outputs `shares` and `when` for the best label of each row, int64 [B]."""
        first = self._targets[0]

        def values(masked: Mapping[str, Encoded]) -> Tensor:
            return probabilities(first, self.model.heads[first.name](self.model.features(masked)))

        return {
            _SHARES: shares(shapley_values(encoded, values, self.prior, best), MODALITIES),
            _WHEN: shapley_in_time(encoded, values, self.prior, best, slots=TIME_SLOTS),
        }


class TrainedPostprocessor:
    """Convert the outputs of a trained network for one window to a prediction."""

    def __init__(self, card: Card, observer: Observer) -> None:
        self._targets = card.architecture.targets
        self._observer = observer
        self._sample_rate_hz = card.input.sample_rate_hz

    def __call__(self, window: PreparedWindow, outputs: Outputs) -> WindowPrediction:
        """Attach label names to the scores of one window, and add what needs no network."""
        by_head = {head.name: outputs.get(f"{_PREFIX}{head.name}") for head in self._targets}
        embedding = _rounded(outputs[_EMBEDDING]) if _EMBEDDING in outputs else None
        return replace(
            self._observer.observe(window, outputs, sample_rate_hz=self._sample_rate_hz),
            words=window.cues,
            language=cue_language(window.cues),
            predictions={
                head.name: _scores(head, numbers)
                for head in self._targets
                if (numbers := by_head[head.name]) is not None and head.kind != "embedding"
            },
            shares=_shares_by_name(outputs.get(_SHARES)),
            when=_time_slices(window, outputs.get(_WHEN)),
            embedding=embedding,
            frame_embeddings=() if embedding is None else (embedding,),
        )


def build_trained_model(checkpoint: Checkpoint, options: RunOptions, observer: Observer | None = None) -> TorchModel:
    """Return a checkpoint as the worker runs it, not warmed up.

    Args:
        checkpoint: the trained model.
        options: how to run it.
        observer: adds observations that its heads read from the frozen pretrained encoders.
    """
    begin_to_load_languages()
    card, observer = checkpoint.card, observer or Observer()
    network: nn.Module = ServedNetwork(checkpoint.network.model, card, observer.heads)
    if options.graph is not None and options.device.type == "cpu" and not options.encoder_devices:
        network = use_graph(network, graph_source(checkpoint, observer), options.graph, options.graphs_folder)
    elif options.graph is not None:
        _log.warning("graph_not_used", form=options.graph, reason="graphs run on one CPU only", instead="eager")
    return TorchModel(
        network,
        TrainedPostprocessor(card, observer),
        info=ModelInfo(card.name, card.version, card.sha256()),
        spec=card.input.spec(),
        options=replace(options, tokenize=checkpoint.network.tokenize),
    )


def graph_source(checkpoint: Checkpoint, observer: Observer | None = None) -> GraphSource:
    """Return the description of a served checkpoint that its exported graph depends on."""
    card = checkpoint.card
    return GraphSource(
        sha256=card.sha256(),
        modalities=tuple(sorted(card.architecture.encoders)),
        spec=card.input.spec(),
        window_ns=card.input.window_ns,
        tokenize=checkpoint.network.tokenize,
        observers=tuple(sorted(observer.heads)) if observer else (),
    )


def probabilities(head: HeadCard, logits: Tensor) -> Tensor:
    """Convert the logits [B, K] of a head to probabilities, float32 [B, K].

    A regression head has no logits: its output [B] becomes [B, 1]. An embedding is returned as it is.
    """
    if head.kind == "multiclass":
        return logits.float().softmax(-1)
    if head.kind == "multilabel":
        return logits.float().sigmoid()
    return logits.float().unsqueeze(-1) if head.kind == "regression" else logits.float()


def _prior(head: HeadCard) -> list[float]:
    if head.prior:
        return list(head.prior)
    if head.kind == "multiclass":
        return [1 / len(head.labels)] * len(head.labels)
    return [0.5] * len(head.labels) if head.kind == "multilabel" else [0.0]


def _scores(head: HeadCard, numbers: NDArray[np.float32]) -> tuple[HeadScore, ...]:
    """Return the labels with the highest scores, given a head's output for one row, float32 [K] or [] (regression)."""
    if head.kind == "regression":
        return (HeadScore(head.name, float(numbers), None),)
    logits = torch.from_numpy(numbers)
    scores = probabilities(head, logits).numpy()
    confidences = probabilities(head, logits / head.temperature).numpy()
    best = np.argsort(-scores, kind="stable")[:SHOWN_LABELS]
    return tuple(HeadScore(head.labels[index], float(scores[index]), float(confidences[index])) for index in best)


def _shares_by_name(numbers: NDArray[np.float32] | None) -> dict[str, float] | None:
    """Return the shares float32 [M] by their names in results; None if all are 0."""
    if numbers is None or not numbers.any():
        return None
    return {
        _WIRE_NAMES[name]: round(float(share), _SHARE_DIGITS) for name, share in zip(MODALITIES, numbers, strict=True)
    }


def _time_slices(window: PreparedWindow, numbers: NDArray[np.float32] | None) -> tuple[PredictedTimeSlice, ...]:
    """Return the contributions float32 [slots] as time slices of the window; none if all are 0."""
    if numbers is None or not numbers.any():
        return ()
    edges = [
        window.start_ns + (window.end_ns - window.start_ns) * slot // len(numbers) for slot in range(len(numbers) + 1)
    ]
    return tuple(
        PredictedTimeSlice(start_ns, end_ns, round(float(contribution), _SHARE_DIGITS))
        for start_ns, end_ns, contribution in zip(edges[:-1], edges[1:], numbers, strict=True)
    )


def _rounded(vector: NDArray[np.float32]) -> tuple[float, ...]:
    """Round an embedding float32 [D] for the result."""
    return tuple(vector.astype(np.float64).round(_EMBEDDING_DIGITS).tolist())
