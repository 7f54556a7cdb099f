"""The card of a checkpoint: everything that is needed to build, feed and judge a trained model, except its weights.

A card is JSON and is validated when it is read.
"""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from triptych.files import why_unreadable
from triptych.models.model import FeatureShape, InputSpec
from triptych.schemas.errors import UsageError

CARD_VERSION: Final = 1

Modality = Literal["video", "audio", "text"]
EncoderKind = Literal["small", "pretrained", "features", "foundation"]
HeadKind = Literal["multiclass", "multilabel", "regression", "embedding"]
HeadRole = Literal["target", "auxiliary", "part"]
Option = int | float | str
Positive = Annotated[int, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class CardError(UsageError):
    """A card, or the checkpoint that it belongs to, cannot be used. The message gives the reason."""


class CardValue(BaseModel):
    """Base class of all parts of a card: frozen, and unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FeatureCard(CardValue):
    """Shape of the precomputed features of one modality, for a model that reads features instead of media."""

    modality: Modality
    steps: Positive
    dims: Positive


class InputCard(CardValue):
    """How windows are prepared. Preprocessing is part of the model."""

    frames: Positive
    height: Positive
    width: Positive
    sample_rate_hz: Positive
    text_tokens: Annotated[int, Field(ge=0)]
    window_ns: Positive
    features: tuple[FeatureCard, ...] = ()

    def spec(self) -> InputSpec:
        """Return the same values as the worker's `InputSpec`."""
        return InputSpec(
            frames=self.frames,
            height=self.height,
            width=self.width,
            sample_rate_hz=self.sample_rate_hz,
            text_tokens=self.text_tokens,
            features=tuple(FeatureShape(one.modality, one.steps, one.dims) for one in self.features),
        )


class EncoderCard(CardValue):
    """The encoder of one modality.

    A `small` encoder is trained from scratch. A `pretrained` encoder uses weights from `triptych models pull` and is
    either `frozen` or fine-tuned. A `features` encoder reads precomputed features. A `foundation` encoder is `frozen`
    and comes from the files of `source`. The `options` are keyword arguments of the encoder's class.
    """

    kind: EncoderKind
    frozen: bool = False
    options: Mapping[str, Option] = {}
    sha256: tuple[str, ...] = ()
    """Checksums of the pretrained weights that the model was trained with; of a foundation model, one of all files."""
    source: str = Field(default="", exclude_if=operator.not_)
    """Where the files of a foundation model are, as `triptych models pull` takes it."""

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if self.frozen and self.kind not in {"pretrained", "foundation"}:
            raise ValueError(
                f"frozen: expected a pretrained encoder, got {self.kind}; its random weights would stay random"
            )
        if self.options and self.kind in {"pretrained", "foundation"}:
            raise ValueError(f"options: expected none for a {self.kind} encoder, got {', '.join(self.options)}")
        if (self.kind == "foundation") != bool(self.source):
            raise ValueError(f"source: expected one for a foundation encoder only, got {self.source!r} for {self.kind}")
        if self.kind == "foundation" and not (self.frozen and self.sha256):
            raise ValueError("foundation: expected a frozen encoder with the checksum of its files")
        return self


class FusionCard(CardValue):
    """The name of the fusion and its options, which are the keyword arguments of its class."""

    name: str
    options: Mapping[str, Option] = {}


class HeadCard(CardValue):
    """What a head predicts and what it reads.

    `target` heads are the outputs of the model. `auxiliary` heads predict the same from a single modality, `part` heads
    predict what a window is made of. Both only support training.
    """

    name: Name
    kind: HeadKind
    labels: tuple[str, ...] = ()
    source: str = "fused"
    index: int | None = None
    role: HeadRole = "target"
    thresholds: tuple[float, ...] = ()
    """One per label of a multilabel head: the label applies from this score on."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Softmax temperature: the logits are divided by it to get calibrated confidences. It is fitted after training."""
    prior: tuple[float, ...] = ()
    """The prediction for a window without any data: label frequencies, or the mean target, of the training data."""
    dims: Annotated[int, Field(ge=0)] = 0
    """Dimensions of an embedding head; 0 for other heads."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        labelled = self.kind in {"multiclass", "multilabel"}
        if labelled != bool(self.labels):
            expected = "one or more" if labelled else "none"
            raise ValueError(f"labels: expected {expected} for a {self.kind} head, got {len(self.labels)}")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels: expected unique names")
        if (self.kind == "embedding") != (self.dims > 0):
            expected = "more than 0" if self.kind == "embedding" else "0"
            raise ValueError(f"dims: expected {expected} for a head of kind {self.kind}, got {self.dims}")
        for name, numbers in (("prior", self.prior), ("thresholds", self.thresholds)):
            if numbers and len(numbers) != max(1, len(self.labels)):
                raise ValueError(f"{name}: expected {max(1, len(self.labels))} numbers, got {len(numbers)}")
        return self


class Architecture(CardValue):
    """The parts of a network."""

    width: Positive
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    encoders: Annotated[Mapping[Modality, EncoderCard], Field(min_length=1)]
    fusion: FusionCard
    heads: Annotated[tuple[HeadCard, ...], Field(min_length=1)]
    kept: Mapping[str, Positive] = {}
    """The number of channels that pruning kept after a layer, by the layer's path; see `shrinking.py`."""

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        names = [head.name for head in self.heads]
        if len(set(names)) != len(names):
            raise ValueError("heads: expected unique names")
        if not self.targets:
            raise ValueError("heads: expected at least one with the role target")
        for head in self.heads:
            if head.source not in {"fused", "tokens", *self.encoders}:
                raise ValueError(f"heads: {head.name} reads {head.source}, for which the model has no encoder")
        return self

    @property
    def targets(self) -> tuple[HeadCard, ...]:
        """Return the target heads, the most important first."""
        return tuple(head for head in self.heads if head.role == "target")

    @property
    def frozen(self) -> tuple[str, ...]:
        """Return the modalities with a frozen encoder, whose weights are not in the checkpoint."""
        return tuple(name for name, encoder in self.encoders.items() if encoder.frozen)

    @property
    def observed(self) -> tuple[str, ...]:
        """Return the modalities with a frozen encoder of `triptych models pull`, from which observations are read."""
        return tuple(name for name, encoder in self.encoders.items() if encoder.frozen and encoder.kind == "pretrained")


class Card(CardValue):
    """The description of a checkpoint."""

    card_version: Literal[1] = CARD_VERSION
    name: Name
    version: Annotated[str, Field(min_length=1)] = "1"
    input: InputCard
    architecture: Architecture
    training: Mapping[str, Any] = {}
    """The training data, command and settings, for readers and to reproduce the training."""
    metrics: Mapping[str, Any] = {}
    """The measured results, and on which data."""
    limits: tuple[str, ...] = ()
    """What the model cannot do, as text."""
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Checksum of the weights file."""

    def sha256(self) -> str:
        """Return a checksum of everything that affects a prediction. It changes whenever any weight changes."""
        # Models that were never pruned keep the checksum that they had before the field `kept` existed.
        excluded = None if self.architecture.kept else {"kept"}
        decisive = {
            # Models that read media keep the checksum that they had before the field `features` existed.
            "input": self.input.model_dump(mode="json", exclude=None if self.input.features else {"features"}),
            "architecture": self.architecture.model_dump(mode="json", exclude=excluded),
            "weights": self.weights_sha256,
        }
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def require_media_input(card: Card) -> None:
    """Raise an error if the model reads precomputed features and so cannot be served.

    Raises:
        CardError: the model reads features.
    """
    if card.input.features:
        names = ", ".join(feature.modality for feature in card.input.features)
        raise CardError(
            f"{card.name} reads features ({names}) computed in advance, which no stream or clip carries: "
            "it can be trained and measured (triptych train, triptych evaluate), not served"
        )


def read_card(path: Path) -> Card:
    """Read and validate a card.

    Raises:
        CardError: the file is missing, is not JSON, or is not a card that this version supports.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CardError(why_unreadable(path) or f"{path}: cannot read the model card: {error}") from error
    try:
        return Card.model_validate_json(text)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'the file'}: {problem['msg']}" for problem in error.errors()
        )
        raise CardError(f"{path}: not a valid model card: {problems}") from error
