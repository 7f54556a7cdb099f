"""Build the network that a card describes. This is the only module that selects its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import torch

from triptych.models.checkpoints.card import Architecture, CardError, EncoderCard, HeadCard
from triptych.models.checkpoints.shrinking import shrink
from triptych.models.network.encoders.features import FeatureEncoder
from triptych.models.network.encoders.hashed_words import hash_words
from triptych.models.network.encoders.pretrained import PretrainedEncoder
from triptych.models.network.encoders.small_audio import SmallAudioEncoder
from triptych.models.network.encoders.small_text import SmallTextEncoder
from triptych.models.network.encoders.small_video import SmallVideoEncoder
from triptych.models.network.fused import FusedModel
from triptych.models.network.fusions.registry import build_fusion
from triptych.models.network.fusions.shape import FusionShape
from triptych.models.network.heads import HeadReadout, LogitsHead, RegressionHead, UnitVectorHead
from triptych.models.network.parts import Encoder, Head
from triptych.models.network.token_space import TokenSpace
from triptych.models.pretrained.efficientnet import ImageEncoder
from triptych.models.pretrained.sentence import SentenceEncoder
from triptych.models.pretrained.sentence_loading import load_sentence_encoder, load_sentence_tokenizer
from triptych.models.pretrained.silero import SpeechEncoder
from triptych.models.pretrained.tokenizer import Tokenize
from triptych.models.pretrained.weights import (
    EFFICIENTNET_LITE0,
    SENTENCE_ENCODER,
    SENTENCE_PIECES,
    SILERO_VAD,
    WeightFile,
    load_weights,
)
from triptych.schemas.errors import UsageError

_SMALL: dict[str, Callable[..., Encoder]] = {
    "video": SmallVideoEncoder,
    "audio": SmallAudioEncoder,
    "text": SmallTextEncoder,
}
PRETRAINED: dict[str, tuple[WeightFile, ...]] = {
    "video": (EFFICIENTNET_LITE0,),
    "audio": (SILERO_VAD,),
    "text": (SENTENCE_ENCODER, SENTENCE_PIECES),
}
"""The weight files of the pretrained encoder of each modality."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network and the tokenizer of its text encoder; None if it does not read text."""

    model: FusedModel
    tokenize: Tokenize | None


def build_network(architecture: Architecture, *, weights_folder: Path) -> Network:
    """Build a network. Small encoders, fusion and heads have random weights.

    Args:
        architecture: the parts of the network.
        weights_folder: folder of the pretrained weights; not read if the network has no pretrained encoder.

    Raises:
        UsageError: a part cannot be built with these options, or pretrained weights were not downloaded.
    """
    encoders: dict[str, Encoder] = {
        modality: _encoder(modality, card, weights_folder) for modality, card in sorted(architecture.encoders.items())
    }
    return Network(_assemble(architecture, encoders), _tokenizer(architecture, weights_folder))


def rebuild_network(network: Network, architecture: Architecture) -> Network:
    """Return a new network that uses the encoders of an existing one. Fusion and heads have random weights."""
    encoders = {modality: cast("Encoder", encoder) for modality, encoder in network.model.encoders.items()}
    return Network(_assemble(architecture, encoders), network.tokenize)


def _assemble(architecture: Architecture, encoders: Mapping[str, Encoder]) -> FusedModel:
    width = architecture.width
    fused = tuple(head.name for head in architecture.heads if head.source == Head.FUSED)
    shape = FusionShape(tuple(encoders), width, fused, architecture.dropout)
    model = FusedModel(
        encoders,
        {head.name: _head(head, width) for head in architecture.heads},
        build_fusion(architecture.fusion.name, shape, **architecture.fusion.options),
        projector=TokenSpace({modality: encoder.dim for modality, encoder in encoders.items()}, width),
    )
    shrink(model, architecture.kept)
    return model


def pretrained_checksums(modality: str) -> tuple[str, ...]:
    """Return the checksums of the weights of a modality's pretrained encoder."""
    return tuple(weight.sha256 for weight in PRETRAINED[modality])


def _encoder(modality: str, card: EncoderCard, folder: Path) -> Encoder:
    if card.kind == "foundation":
        from triptych.models.foundation.window_encoder import build_window_encoder  # noqa: PLC0415 - most have none

        return build_window_encoder(modality, card, folder)
    if card.kind != "pretrained":
        build = partial(FeatureEncoder, modality) if card.kind == "features" else _SMALL[modality]
        try:
            return build(**card.options)
        except (TypeError, ValueError, RuntimeError) as error:
            raise UsageError(f"the {modality} encoder cannot be built with {dict(card.options)}: {error}") from error
    here = pretrained_checksums(modality)
    if card.sha256 and card.sha256 != here:
        raise CardError(
            f"the {modality} encoder: expected the weights {', '.join(card.sha256)} that the model was trained with; "
            f"this version of Triptych has {', '.join(here)}"
        )
    return PretrainedEncoder(modality, _pretrained(modality, folder, frozen=card.frozen), frozen=card.frozen)


def _pretrained(modality: str, folder: Path, *, frozen: bool) -> Encoder:
    if modality == "text" and frozen:
        return load_sentence_encoder(folder)  # shared: training would change the others' weights
    weights = load_weights(PRETRAINED[modality][0], folder)
    if modality == "video":
        return ImageEncoder(weights)
    return SpeechEncoder(weights) if modality == "audio" else SentenceEncoder(weights)


def _tokenizer(architecture: Architecture, folder: Path) -> Tokenize | None:
    card = architecture.encoders.get("text")
    if card is None or card.kind == "features":
        return None
    if card.kind == "small":
        return hash_words
    return load_sentence_tokenizer(folder)


def _head(card: HeadCard, width: int) -> Head:
    reader = HeadReadout(card.name, card.source, width=width, index=card.index)
    if card.kind == "embedding":
        return UnitVectorHead(reader, card.source, width=width, dims=card.dims)
    if card.kind != "regression":
        return LogitsHead(reader, card.source, width=width, labels=len(card.labels))
    head = RegressionHead(reader, card.source, width=width)
    if card.prior:
        head.mean.copy_(torch.tensor(card.prior[0]))
    return head
