"""Frames and words as vectors of the semantic space, from the tokens of the pretrained encoders.

A frame is the sum of two vectors. One is a projection of its features: kernel ridge regression on captioned pictures,
the anchors. The other is ConSE (Norouzi et al., 2013, arXiv 1312.5650): the vectors of the label names, weighted by the
scores of the classifier.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.network.parts import Features, Head
from triptych.models.pretrained.efficientnet import FEATURES, LABELS
from triptych.models.spaces.semantic_weights import SemanticWeights

_LABELS_USED: Final = 30
"""Labels of a frame that count, best first. The rest is noise."""
_TEMPERATURE: Final = 1 / 0.7
"""Flattens the scores of the labels: below the best one, they say what else the frame resembles."""

KERNEL_GAMMA: Final = 4.0
"""The kernel is exp(-gamma * squared distance)."""
_NAMING: Final = 0.7
"""Weight of the names of the labels beside the projection."""


class PictureKernel(nn.Module):
    """Compare pictures with the anchors: a Gaussian kernel of their features, reduced to their main directions.

    Args:
        weights: the weights of the space.
    """

    feature_mean: Tensor
    feature_directions: Tensor
    anchors: Tensor

    def __init__(self, weights: SemanticWeights) -> None:
        super().__init__()
        for name in ("feature_mean", "feature_directions", "anchors"):
            self.register_buffer(name, getattr(weights, name))

    def forward(self, features: Tensor) -> Tensor:
        """Return similarities from 0 to 1, float32 [..., A], of picture features float32 [..., 1280]."""
        reduced = (picture_inputs(features) - self.feature_mean) @ self.feature_directions  # [..., R]
        squared = reduced.square().sum(-1, keepdim=True) - 2 * reduced @ self.anchors.T + self.anchors.square().sum(-1)
        return (-KERNEL_GAMMA * squared.clamp(min=0)).exp()


class PictureProjector(nn.Module):
    """Project picture features into the space.

    Args:
        weights: the weights of the space.
        classifier: the weights of the picture encoder, for its classifier.
    """

    projection: Tensor
    label_vectors: Tensor

    def __init__(self, weights: SemanticWeights, classifier: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.kernel = PictureKernel(weights)
        self.register_buffer("projection", weights.projection)
        self.register_buffer("label_vectors", weights.label_vectors)
        self.fc = nn.Linear(FEATURES, LABELS)
        self.fc.load_state_dict({"weight": classifier["_fc.weight"], "bias": classifier["_fc.bias"]})

    def forward(self, features: Tensor) -> Tensor:
        """Return vectors of length 1, float32 [..., 512], of features float [..., 1280]."""
        features = features.float()
        projected = self.kernel(features) @ self.projection
        named = name_pictures(self.fc(features), self.label_vectors)
        return functional.normalize(functional.normalize(projected, dim=-1) + _NAMING * named, dim=-1)


def picture_inputs(features: Tensor) -> Tensor:
    """Return the square roots of features, which are not negative, normalised: float32 [..., 1280]."""
    return functional.normalize(features.clamp(min=0).sqrt(), dim=-1)


def name_pictures(logits: Tensor, label_vectors: Tensor) -> Tensor:
    """Return the convex combination of label vectors [K, D] for logits [..., K], normalised: float32 [..., D]."""
    best = logits.topk(min(_LABELS_USED, logits.shape[-1]), dim=-1)
    shares = (best.values / _TEMPERATURE).softmax(-1)  # [..., 30]
    return functional.normalize((shares.unsqueeze(-1) * label_vectors[best.indices]).sum(-2), dim=-1)


class FrameVectorsHead(Head):
    """Embed each frame of a window."""

    source = "video"

    def __init__(self, projector: PictureProjector) -> None:
        super().__init__()
        self.projector = projector

    def forward(self, features: Features) -> Tensor:
        """Return vectors of length 1, float32 [B, T, 512]; zeros for frames that do not exist."""
        tokens, mask, _ = features.encoded[self.source]
        with torch.autocast(tokens.device.type, enabled=False):
            vectors: Tensor = self.projector(tokens) * mask.unsqueeze(-1)
        return vectors


class TextCentring(nn.Module):
    """Remove from sentence vectors what they share, and what tells languages apart (Yang et al., 2021, EMNLP)."""

    text_mean: Tensor
    language_directions: Tensor

    def __init__(self, weights: SemanticWeights) -> None:
        super().__init__()
        self.register_buffer("text_mean", weights.text_mean)
        self.register_buffer("language_directions", weights.language_directions)

    def forward(self, sentences: Tensor) -> Tensor:
        """Return vectors of length 1, float32 [..., 512], of sentence vectors float32 [..., 512]."""
        centred = sentences - self.text_mean
        common = centred @ self.language_directions.T @ self.language_directions
        return functional.normalize(centred - common, dim=-1)


class WordsVectorHead(Head):
    """Embed the words of a window: the sum of the vectors of its cues, normalised."""

    source = "text"

    def __init__(self, centring: TextCentring) -> None:
        super().__init__()
        self.centring = centring

    def forward(self, features: Features) -> Tensor:
        """Return vectors of length 1, float32 [B, 512]; zeros for rows without words."""
        tokens, mask, _ = features.encoded[self.source]
        with torch.autocast(tokens.device.type, enabled=False):
            cues: Tensor = self.centring(tokens.float()) * mask.unsqueeze(-1)  # [B, C, 512]
            return functional.normalize(cues.sum(1), dim=-1)
