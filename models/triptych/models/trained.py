"""Serve a trained model: what its heads say, how sure that is, which modality it came from, and when."""

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
from triptych.models.execution.export_cache import GraphSubject, with_graph
from triptych.models.execution.runtime import Outputs, RunOptions, TorchModel
from triptych.models.model import ModelInfo
from triptych.models.network.collate import WindowBatch
from triptych.models.network.fused import FusedModel
from triptych.models.network.parts import Encoded, Features, Head
from triptych.models.network.shapley import shapley_in_time, shapley_values, shares
from triptych.models.observed.language import language_of_words
from triptych.models.observed.observations import Observer
from triptych.models.prediction import HeadScore, PredictedTimeSlice, WindowPrediction
from triptych.models.window import PreparedWindow

SHOWN_LABELS = 32
"""Of one head, best first; a rule reads a label that is not shown as 0."""
TIME_SLOTS = 4
"""So many equal stretches of a window are told apart. Each more doubles what it costs to say when."""
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
    """Run a trained network, and its fusion once more for each subset of modalities and of stretches of time.

    Args:
        model: the network.
        card: what it says.
        observers: heads that read what the encoders say before training had a part in it.
    """

    prior: Tensor

    def __init__(self, model: FusedModel, card: Card, observers: Mapping[str, Head] = MappingProxyType({})) -> None:
        super().__init__()
        self.model = model
        self.observers = nn.ModuleDict(observers)
        self._targets = card.architecture.targets
        self.register_buffer("prior", torch.tensor(_prior(self._targets[0])), persistent=False)

    def forward(self, batch: WindowBatch) -> dict[str, Tensor]:
        """Return the logits of the target heads, what led to the first one's best label, embedding, observations."""
        tokens = self.model.tokens(batch)
        encoded = self.model.project(tokens)
        features = self.model.features(encoded)
        answers = self.model.answer(features)
        outputs = {f"{_PREFIX}{head.name}": answers[head.name] for head in self._targets if head.name in answers}
        own = [head.name for head in self._targets if head.kind == "embedding" and head.name in answers]
        if own:
            outputs[_EMBEDDING] = answers[own[0]]
        elif features.fused is not None:
            outputs[_EMBEDDING] = functional.normalize(features.fused.vector.float(), dim=-1)
        first = self._targets[0]
        if first.name in answers and first.kind != "embedding":
            outputs |= self._reasons(encoded, probabilities(first, answers[first.name]).argmax(-1))
        observers = cast("Mapping[str, Head]", dict(self.observers.items()))
        own_tokens = Features(tokens, None)
        return outputs | {name: head(own_tokens) for name, head in observers.items() if head.source in tokens}

    def _reasons(self, encoded: Mapping[str, Encoded], best: Tensor) -> dict[str, Tensor]:
        first = self._targets[0]

        def values(left: Mapping[str, Encoded]) -> Tensor:
            return probabilities(first, self.model.heads[first.name](self.model.features(left)))

        return {
            _SHARES: shares(shapley_values(encoded, values, self.prior, best), MODALITIES),
            _WHEN: shapley_in_time(encoded, values, self.prior, best, slots=TIME_SLOTS),
        }


class TrainedDescriber:
    """Turn what a trained network says of a window into a prediction."""

    def __init__(self, card: Card, observer: Observer) -> None:
        self._targets = card.architecture.targets
        self._observer = observer
        self._sample_rate_hz = card.input.sample_rate_hz

    def __call__(self, window: PreparedWindow, outputs: Outputs) -> WindowPrediction:
        """Name the labels, and add what no network is needed for."""
        said = {head.name: outputs.get(f"{_PREFIX}{head.name}") for head in self._targets}
        embedding = _rounded(outputs[_EMBEDDING]) if _EMBEDDING in outputs else None
        return replace(
            self._observer.describe(window, outputs, sample_rate_hz=self._sample_rate_hz),
            words=window.cues,
            language=language_of_words(window.cues),
            predictions={
                head.name: _scores(head, numbers)
                for head in self._targets
                if (numbers := said[head.name]) is not None and head.kind != "embedding"
            },
            shares=_shares_by_name(outputs.get(_SHARES)),
            when=_time_slices(window, outputs.get(_WHEN)),
            embedding=embedding,
            moments=() if embedding is None else (embedding,),
        )


def build_trained_model(checkpoint: Checkpoint, options: RunOptions, observer: Observer | None = None) -> TorchModel:
    """Return a checkpoint as the worker runs it, not yet warm; with an observer it also says what that one sees."""
    card, observer = checkpoint.card, observer or Observer()
    network: nn.Module = ServedNetwork(checkpoint.network.model, card, observer.heads)
    if options.graph is not None and options.device.type == "cpu" and not options.encoder_devices:
        network = with_graph(network, graph_subject(checkpoint, observer), options.graph, options.graphs_folder)
    elif options.graph is not None:
        _log.warning("graph_not_used", form=options.graph, reason="graphs run on one CPU only", instead="eager")
    return TorchModel(
        network,
        TrainedDescriber(card, observer),
        info=ModelInfo(card.name, card.version, card.sha256()),
        spec=card.input.spec(),
        options=replace(options, tokenize=checkpoint.network.tokenize),
    )


def graph_subject(checkpoint: Checkpoint, observer: Observer | None = None) -> GraphSubject:
    """Say what a graph of a checkpoint, as it is served, is made of."""
    card = checkpoint.card
    return GraphSubject(
        sha256=card.sha256(),
        modalities=tuple(sorted(card.architecture.encoders)),
        spec=card.input.spec(),
        window_ns=card.input.window_ns,
        tokenize=checkpoint.network.tokenize,
        observes=tuple(sorted(observer.heads)) if observer else (),
    )


def probabilities(head: HeadCard, logits: Tensor) -> Tensor:
    """Return what a head's numbers mean, [B, K]: probabilities; of a regression the number itself, [B, 1]."""
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
    if head.kind == "regression":
        return (HeadScore(head.name, float(numbers), None),)
    logits = torch.from_numpy(numbers)
    scores = probabilities(head, logits).numpy()
    confidences = probabilities(head, logits / head.temperature).numpy()
    best = np.argsort(-scores, kind="stable")[:SHOWN_LABELS]
    return tuple(HeadScore(head.labels[index], float(scores[index]), float(confidences[index])) for index in best)


def _shares_by_name(numbers: NDArray[np.float32] | None) -> dict[str, float] | None:
    if numbers is None or not numbers.any():
        return None
    return {
        _WIRE_NAMES[name]: round(float(share), _SHARE_DIGITS) for name, share in zip(MODALITIES, numbers, strict=True)
    }


def _time_slices(window: PreparedWindow, numbers: NDArray[np.float32] | None) -> tuple[PredictedTimeSlice, ...]:
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
    return tuple(vector.astype(np.float64).round(_EMBEDDING_DIGITS).tolist())
