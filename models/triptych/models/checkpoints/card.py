"""The card of a checkpoint: all that is needed to build, feed and judge a trained model, but for its weights.

It is JSON, checked as it is read: a card that is not whole is refused in words that say what is wrong with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from triptych.models.model import FeatureShape, InputSpec
from triptych.schemas.errors import UsageError

CARD_VERSION: Final = 1

Modality = Literal["video", "audio", "text"]
EncoderKind = Literal["small", "pretrained", "features"]
HeadKind = Literal["multiclass", "multilabel", "regression", "embedding"]
HeadRole = Literal["target", "auxiliary", "part"]
Option = int | float | str
Positive = Annotated[int, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class CardError(UsageError):
    """A card, or the checkpoint that it belongs to, cannot be used; the message says why."""


class CardValue(BaseModel):
    """Common to all parts of a card: frozen, names that are not known refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FeatureCard(CardValue):
    """What features of a modality are like, for a model that reads them instead of media."""

    modality: Modality
    steps: Positive
    dims: Positive


class InputCard(CardValue):
    """How windows are prepared: the processor is part of the model."""

    frames: Positive
    height: Positive
    width: Positive
    sample_rate_hz: Positive
    text_tokens: Annotated[int, Field(ge=0)]
    window_ns: Positive
    features: tuple[FeatureCard, ...] = ()

    def spec(self) -> InputSpec:
        """Return it as the worker reads it."""
        return InputSpec(
            frames=self.frames,
            height=self.height,
            width=self.width,
            sample_rate_hz=self.sample_rate_hz,
            text_tokens=self.text_tokens,
            features=tuple(FeatureShape(own.modality, own.steps, own.dims) for own in self.features),
        )


class EncoderCard(CardValue):
    """Which encoder a modality has.

    `small` ones are trained from scratch, `pretrained` ones come from `triptych models pull`: `frozen` as they are, or
    tuned; `features` ones read what somebody else has computed. The options are the keywords of the encoder's class.
    """

    kind: EncoderKind
    frozen: bool = False
    options: Mapping[str, Option] = {}
    sha256: tuple[str, ...] = ()
    """Checksums of the pretrained weights that it was trained on."""

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if self.frozen and self.kind != "pretrained":
            raise ValueError("frozen: expected a pretrained encoder; one that was never trained would stay noise")
        if self.options and self.kind == "pretrained":
            raise ValueError("options: a pretrained encoder has none")
        return self


class FusionCard(CardValue):
    """Which fusion, and its options: the keywords of its class."""

    name: str
    options: Mapping[str, Option] = {}


class HeadCard(CardValue):
    """What a head says, and what it reads.

    `target` heads are the model's answers. `auxiliary` ones say the same from one modality alone, `part` ones say what
    a window is made of; both help while training.
    """

    name: Name
    kind: HeadKind
    labels: tuple[str, ...] = ()
    source: str = "fused"
    index: int | None = None
    role: HeadRole = "target"
    thresholds: tuple[float, ...] = ()
    """Of each label of a multilabel head: from this score on it holds."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """What the logits are divided by to make confidences that hold; set after training."""
    prior: tuple[float, ...] = ()
    """What the head would say of a window of which nothing is known: shares of the labels, or the mean, in training."""
    dims: Annotated[int, Field(ge=0)] = 0
    """Numbers of an embedding."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        labelled = self.kind in {"multiclass", "multilabel"}
        if labelled != bool(self.labels):
            raise ValueError(f"labels: a {self.kind} head has {'some' if labelled else 'none'}, got {len(self.labels)}")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels: expected all to differ")
        if (self.kind == "embedding") != (self.dims > 0):
            raise ValueError(f"dims: an embedding has some, other heads none; got {self.dims} for {self.kind}")
        for name, numbers in (("prior", self.prior), ("thresholds", self.thresholds)):
            if numbers and len(numbers) != max(1, len(self.labels)):
                raise ValueError(f"{name}: expected {max(1, len(self.labels))} numbers, got {len(numbers)}")
        return self


class Architecture(CardValue):
    """What a model is made of."""

    width: Positive
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    encoders: Annotated[Mapping[Modality, EncoderCard], Field(min_length=1)]
    fusion: FusionCard
    heads: Annotated[tuple[HeadCard, ...], Field(min_length=1)]
    kept: Mapping[str, Positive] = {}
    """How many numbers pruning left behind layers, by their path; see `shrinking.py`."""

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        names = [head.name for head in self.heads]
        if len(set(names)) != len(names):
            raise ValueError("heads: expected all names to differ")
        if not self.targets:
            raise ValueError("heads: expected one target at least")
        for head in self.heads:
            if head.source not in {"fused", "tokens", *self.encoders}:
                raise ValueError(f"heads: {head.name} reads {head.source}, which this model has not")
        return self

    @property
    def targets(self) -> tuple[HeadCard, ...]:
        """Return the heads that answer, the most important first."""
        return tuple(head for head in self.heads if head.role == "target")

    @property
    def frozen(self) -> tuple[str, ...]:
        """Return the modalities whose encoder is frozen."""
        return tuple(name for name, encoder in self.encoders.items() if encoder.frozen)


class Card(CardValue):
    """Describe a checkpoint."""

    card_version: Literal[1] = CARD_VERSION
    name: Name
    version: Annotated[str, Field(min_length=1)] = "1"
    input: InputCard
    architecture: Architecture
    training: Mapping[str, Any] = {}
    """The data, the command and the settings that made it, for people and for making it again."""
    metrics: Mapping[str, Any] = {}
    """What was measured, and on what."""
    limits: tuple[str, ...] = ()
    """What the model cannot do, in words."""
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Checksum of the file of weights."""

    def sha256(self) -> str:
        """Return a checksum of all that an answer depends on; it changes whenever any weight does."""
        # What was never pruned has the checksum that it had before models could be pruned.
        whole = None if self.architecture.kept else {"kept"}
        decisive = {
            # Likewise what reads media.
            "input": self.input.model_dump(mode="json", exclude=None if self.input.features else {"features"}),
            "architecture": self.architecture.model_dump(mode="json", exclude=whole),
            "weights": self.weights_sha256,
        }
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def refuse_features(card: Card) -> None:
    """Refuse a model of features where windows of media are to be judged.

    Raises:
        CardError: it is one.
    """
    if card.input.features:
        names = ", ".join(own.modality for own in card.input.features)
        raise CardError(
            f"{card.name} reads features ({names}) that somebody else has computed, and no stream or clip carries any: "
            "it can be trained and measured (triptych train, triptych evaluate), not served"
        )


def read_card(path: Path) -> Card:
    """Read and check a card.

    Raises:
        CardError: it is not there, not JSON, or not a card that this version understands.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CardError(f"{path}: the card of the model cannot be read: {error}") from error
    try:
        return Card.model_validate_json(text)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'the file'}: {problem['msg']}" for problem in error.errors()
        )
        raise CardError(f"{path}: not a card of a model: {problems}") from error
