"""The configuration of a training run, and how the command line shows it. The checkpoint's card holds all of it.

Imports no torch: `triptych --help` reads this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

import typer

from triptych.models.checkpoints.storage import STORAGES, Storage
from triptych.models.foundation.files.model_source import parse_model_source
from triptych.schemas.errors import UsageError
from triptych.service.cli_from_config import ReadAs
from triptych.training.data.augmentation.config import parse_augmentation

EncoderChoice = Literal["small", "frozen", "tuned"]
"""Train a small encoder from scratch, use the pretrained one with frozen weights, or fine-tune the pretrained one.

In place of a choice, the source of a foundation model can be named, which is frozen.
"""

_NETWORK = "Network"
_LOSSES = "Losses"
_TRAINING = "Training"


def _pairs(flag: str, given: Sequence[str]) -> dict[str, int | float | str]:
    pairs: dict[str, int | float | str] = {}
    for pair in given:
        name, sign, value = pair.partition("=")
        if not (name and sign and value):
            raise UsageError(f"{flag}: expected NAME=VALUE, got {pair!r}")
        pairs[name] = _number_or_text(value)
    return pairs


def _number_or_text(value: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _fusion_options(given: Sequence[str]) -> dict[str, int | float | str]:
    return _pairs("--fusion-option", given)


def _encoders(given: Sequence[str]) -> dict[str, str]:
    encoders = {modality: str(kind) for modality, kind in _pairs("--encoder", given).items()}
    choices = get_args(EncoderChoice)
    for kind in encoders.values():
        if ":" in kind:
            parse_model_source(kind)
        elif kind not in choices:
            raise UsageError(f"--encoder: expected {', '.join(choices)} or a foundation model, got {kind!r}")
    return encoders


def _changes(given: Sequence[str]) -> tuple[str, ...]:
    parse_augmentation(given)  # reports a mistake before any data is opened
    return tuple(given)


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """The network to train.

    Attributes:
        fusion: name of the fusion.
        fusion_options: keyword arguments of the fusion's class.
        encoders: choice of encoder by modality, or the source of a foundation model. A modality that is not named gets
            `small`.
        width: size of a token and of the fused vector.
        dropout: dropout probability.
        modalities: modalities that the network reads.
    """

    fusion: Annotated[
        str,
        typer.Option(
            help="late, concat, projection, attention, bottleneck, graph, decoder or residual.",
            rich_help_panel=_NETWORK,
        ),
    ] = "attention"
    fusion_options: Annotated[
        Mapping[str, int | float | str],
        typer.Option(
            "--fusion-option",
            metavar="NAME=VALUE",
            help="Option of the fusion, such as blocks=3. May be repeated.",
            rich_help_panel=_NETWORK,
        ),
        ReadAs(list[str] | None, _fusion_options),
    ] = field(default_factory=dict)
    encoders: Annotated[
        Mapping[str, str],
        typer.Option(
            "--encoder",
            metavar="MODALITY=KIND",
            help="small, frozen or tuned (frozen and tuned are pretrained), such as video=frozen; or a foundation "
            "model, such as video=hf:ID@REVISION. May be repeated.",
            rich_help_panel=_NETWORK,
        ),
        ReadAs(list[str] | None, _encoders),
    ] = field(default_factory=dict)
    width: Annotated[
        int, typer.Option(min=8, help="Size of a token and of the fused vector.", rich_help_panel=_NETWORK)
    ] = 128
    dropout: Annotated[float, typer.Option(min=0, max=0.9, help="Dropout probability.", rich_help_panel=_NETWORK)] = 0.1
    modalities: Annotated[
        tuple[str, ...],
        typer.Option(
            "--modality",
            help="Modality that the network reads: video, audio or text. May be repeated. Default: all three.",
            rich_help_panel=_NETWORK,
        ),
        ReadAs(list[str] | None, tuple),
    ] = ("video", "audio", "text")


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Weights and parameters of the loss terms. The loss of the fused output has weight 1.

    Attributes:
        smoothing: label smoothing (Szegedy et al., 2016, arXiv 1512.00567).
        balanced: weight classes by inverse frequency.
        auxiliary: weight of the losses of the single-modality heads.
        parts: weight of the losses of the component heads, where the data set labels components.
        contrast: weight of InfoNCE between the modalities of a window; needs the fusion `projection`.
        modality_dropout: probability of dropping each modality of a window. At least one modality stays.
        teacher: path of a teacher checkpoint; empty for none.
        teaching: share of the teacher's loss in the loss of the fused output; the labels have the rest.
        temperature: divides the logits of teacher and student (Hinton et al., 2015, arXiv 1503.02531).
        views: weight of the distance between the output with dropped modalities and the output with all of them.
    """

    smoothing: Annotated[float, typer.Option(help="Label smoothing.", rich_help_panel=_LOSSES)] = 0.05
    balanced: Annotated[
        bool, typer.Option("--balanced", help="Weight classes by inverse frequency.", rich_help_panel=_LOSSES)
    ] = False
    auxiliary: Annotated[
        float, typer.Option(min=0, help="Weight of the single-modality heads.", rich_help_panel=_LOSSES)
    ] = 0.3
    parts: Annotated[
        float,
        typer.Option(min=0, help="Weight of the heads that predict a window's components.", rich_help_panel=_LOSSES),
    ] = 0.3
    contrast: Annotated[
        float, typer.Option(min=0, help="Weight of InfoNCE; needs --fusion projection.", rich_help_panel=_LOSSES)
    ] = 0.0
    modality_dropout: Annotated[
        float, typer.Option(help="Probability of dropping each modality of a window.", rich_help_panel=_LOSSES)
    ] = 0.15
    teacher: Annotated[
        str, typer.Option(metavar="CHECKPOINT", help="Trained model to distil from.", rich_help_panel=_LOSSES)
    ] = ""
    teaching: Annotated[
        float, typer.Option(help="Share of the teacher in the loss of the fused output.", rich_help_panel=_LOSSES)
    ] = 0.5
    temperature: Annotated[
        float, typer.Option(help="Distillation temperature of teacher and student.", rich_help_panel=_LOSSES)
    ] = 4.0
    views: Annotated[
        float,
        typer.Option(
            min=0,
            help="Weight of consistency between the output with dropped modalities and with all.",
            rich_help_panel=_LOSSES,
        ),
    ] = 0.0


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How to train.

    An interrupted run resumes only with the same `repr` of its configuration: fields added later have `repr=False`.

    Attributes:
        steps: maximum number of steps; the learning rate schedule spans them.
        batch: windows in each step, over all processes.
        rate: peak learning rate.
        optimizer: `adamw`, or `sgd` with Nesterov momentum.
        schedule: `one-cycle` rises and falls; `cosine` falls.
        weight_decay: weight decay of the weight matrices.
        evaluate_every: steps between two validation passes.
        validation_size: maximum number of validation examples in a pass.
        patience: validation passes without improvement before early stopping; 0 disables it.
        augment: apply light augmentation to each batch, see `augmentation/batch_augmentation.py`.
        seed: seed of the weights, the order of examples and all other randomness.
        device: device that runs the training.
        changes: augmentation of single windows: `usual` or NAME=VALUE, see `augmentation/window_augmentation.py`.
        storage: number format of the file of weights. The final validation uses the weights as stored.
        start: path of a checkpoint whose weights are loaded where name and shape match; empty for none.
        hold_encoders_after: step from which the encoders are frozen; 0 never freezes them.
        fresh: draw new examples of a generated benchmark after all were used, instead of the same ones again.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    steps: Annotated[int, typer.Option(min=1, help="Maximum number of steps.", rich_help_panel=_TRAINING)] = 600
    batch: Annotated[
        int, typer.Option(min=1, help="Windows in a step, over all processes.", rich_help_panel=_TRAINING)
    ] = 64
    rate: Annotated[float, typer.Option(help="Peak learning rate.", rich_help_panel=_TRAINING)] = 2e-3
    optimizer: Annotated[Literal["adamw", "sgd"], typer.Option(help="adamw or sgd.", rich_help_panel=_TRAINING)] = (
        "adamw"
    )
    schedule: Annotated[
        Literal["one-cycle", "cosine"],
        typer.Option(help="Learning rate schedule: one-cycle or cosine.", rich_help_panel=_TRAINING),
    ] = "one-cycle"
    weight_decay: Annotated[float, typer.Option(min=0, help="Weight decay.", rich_help_panel=_TRAINING)] = 0.01
    evaluate_every: Annotated[
        int, typer.Option(min=1, help="Steps between two validation passes.", rich_help_panel=_TRAINING)
    ] = 50
    validation_size: Annotated[
        int, typer.Option(min=1, help="Maximum number of validation examples.", rich_help_panel=_TRAINING)
    ] = 512
    patience: Annotated[
        int,
        typer.Option(
            min=0,
            help="Stop after this many validation passes without improvement; 0 never stops early.",
            rich_help_panel=_TRAINING,
        ),
    ] = 0
    augment: Annotated[
        bool,
        typer.Option(
            "--augment/--no-augment", help="Apply light augmentation to each batch.", rich_help_panel=_TRAINING
        ),
    ] = True
    seed: Annotated[int, typer.Option(help="Seed of the weights, the order of examples and all other randomness.")] = 0
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")] = "auto"
    changes: Annotated[
        tuple[str, ...],
        typer.Option(
            "--augment-with",
            metavar="usual|NAME=VALUE",
            help="Augment single windows too; triptych data show --augment shows the effect. May be repeated.",
            rich_help_panel=_TRAINING,
        ),
        ReadAs(list[str] | None, _changes),
    ] = field(default=(), repr=False)
    storage: Annotated[
        Storage,
        typer.Option(help="Number format of the file of weights: fp32, fp16, bf16 or int8.", rich_help_panel=_TRAINING),
    ] = "fp32"
    start: Annotated[
        str,
        typer.Option(
            "--from", metavar="CHECKPOINT", help="Start from this model's weights, where name and shape match."
        ),
    ] = ""
    hold_encoders_after: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="STEP",
            help="Freeze the encoders from this step on, which halves the time of a step; 0 never does.",
            rich_help_panel=_TRAINING,
        ),
    ] = field(default=0, repr=False)
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Draw new examples of a generated benchmark after all were used, so that none repeats.",
            rich_help_panel=_TRAINING,
        ),
    ] = field(default=False, repr=False)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            UsageError: a value is out of its range.
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
