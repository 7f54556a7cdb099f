"""Everything that a training can be told. All of it is written to the checkpoint's card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from triptych.models.checkpoints.storage import STORAGES, Storage
from triptych.schemas.errors import UsageError

EncoderChoice = Literal["small", "frozen", "tuned"]
"""Trained from scratch; pretrained and left as it is; pretrained and trained further."""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Say what network is trained.

    Attributes:
        fusion: its name.
        fusion_options: keywords of the fusion's class.
        encoders: by modality; one that is not named is `small`.
        width: numbers of a token and of the fused vector.
        dropout: share of numbers left out while training.
        modalities: which ones the network reads.
    """

    fusion: str = "attention"
    fusion_options: Mapping[str, int | float | str] = field(default_factory=dict)
    encoders: Mapping[str, EncoderChoice] = field(default_factory=dict)
    width: int = 128
    dropout: float = 0.1
    modalities: tuple[str, ...] = ("video", "audio", "text")


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Weigh what is to become small; the loss of the answer itself weighs 1.

    Attributes:
        smoothing: share of certainty taken from the true label and given to all.
        balanced: weigh labels by how rare they are.
        auxiliary: of the answers that each modality gives alone.
        parts: of what the windows are made of, where the data say it.
        contrast: of drawing modalities of one window together (InfoNCE), with a fusion that has one space for them.
        modality_dropout: how often each modality is taken away from a window, never all of them.
        teacher: path of a trained model to learn from; none when empty.
        teaching: share of the answer's loss that is the teacher's; the rest is the labels'.
        temperature: what the logits of teacher and student are divided by.
        views: of making the answer with modalities taken away like the answer with all of them.
    """

    smoothing: float = 0.05
    balanced: bool = False
    auxiliary: float = 0.3
    parts: float = 0.3
    contrast: float = 0.0
    modality_dropout: float = 0.15
    teacher: str = ""
    teaching: float = 0.5
    temperature: float = 4.0
    views: float = 0.0


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Say how to train.

    Attributes:
        steps: at most so many; with the schedule spread over them.
        batch: windows in each step, of all processes together.
        rate: the highest learning rate.
        optimizer: `adamw` or `sgd` (with momentum).
        schedule: `one-cycle` rises and falls; `cosine` falls.
        weight_decay: how strongly weights are drawn to zero.
        evaluate_every: steps between two looks at the validation split.
        validation_size: so many of its examples at most.
        patience: looks without a better one after which training stops; 0 never stops early.
        augment: change the windows of every step a little, as `data/augmentation/jitter.py` does.
        seed: of the weights, the order of examples, and all chance.
        device: where it runs.
        changes: what else happens to each training window, as `--augment` of `triptych data` names it; `usual`, or
            NAME=VALUE.
        storage: what the file of weights holds; what is measured at the end are the weights as they are stored.
        start: path of a trained model whose weights are taken wherever they fit; random ones when empty.
        fresh: where all examples of a generated benchmark were seen, go on with others instead of with the same again.
        hold_encoders_after: steps after which the encoders learn nothing more; 0 lets them learn to the end.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    steps: int = 600
    batch: int = 64
    rate: float = 2e-3
    optimizer: Literal["adamw", "sgd"] = "adamw"
    schedule: Literal["one-cycle", "cosine"] = "one-cycle"
    weight_decay: float = 0.01
    evaluate_every: int = 50
    validation_size: int = 512
    patience: int = 0
    augment: bool = True
    seed: int = 0
    device: str = "cpu"
    changes: tuple[str, ...] = field(default=(), repr=False)
    storage: Storage = "fp32"
    start: str = ""
    hold_encoders_after: int = field(default=0, repr=False)
    fresh: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            UsageError: a number is out of its range.
        """
        for name in ("steps", "batch", "evaluate_every", "validation_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.storage not in STORAGES:
            raise UsageError(f"storage: expected one of {', '.join(STORAGES)}, got {self.storage!r}")
        if self.hold_encoders_after < 0:
            raise UsageError(f"hold_encoders_after: expected 0 or more, got {self.hold_encoders_after}")
        if self.rate <= 0:
            raise UsageError(f"rate: expected more than 0, got {self.rate}")
        for name in ("smoothing", "modality_dropout"):
            if not 0 <= getattr(self.loss, name) < 1:
                raise UsageError(f"{name}: expected at least 0 and less than 1, got {getattr(self.loss, name)}")
        if not 0 <= self.loss.teaching <= 1:
            raise UsageError(f"teaching: expected 0 to 1, got {self.loss.teaching}")
        if self.loss.temperature <= 0:
            raise UsageError(f"temperature: expected more than 0, got {self.loss.temperature}")
