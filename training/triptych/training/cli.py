"""The command `triptych train`. Imports what is heavy when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from triptych.training.run import TrainingSummary

_TRAINING = "Training"
_NETWORK = "Network"
_LOSSES = "Losses"


def train(
    *,
    data: Annotated[str, typer.Option(metavar="NAME|FOLDER", help="What to learn; see: triptych data list.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where checkpoint, curves and records go.")],
    name: Annotated[str | None, typer.Option(help="Of the model; else the data's.")] = None,
    seed: Annotated[int, typer.Option(help="Of the weights, the order of examples, and all chance.")] = 0,
    seeds: Annotated[int, typer.Option(help="So many trainings; says mean and deviation, keeps the best.")] = 1,
    start: Annotated[
        str, typer.Option("--from", metavar="CHECKPOINT", help="Begin with its weights wherever they fit.")
    ] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted training stopped.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")] = "auto",
    fusion: Annotated[
        str,
        typer.Option(
            help="late, concat, projection, attention, bottleneck, graph, decoder or residual.",
            rich_help_panel=_NETWORK,
        ),
    ] = "attention",
    fusion_option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Of the fusion, as blocks=3; may repeat.", rich_help_panel=_NETWORK),
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODALITY=KIND",
            help="small, frozen or tuned (the pretrained one), as video=frozen; may repeat.",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    modality: Annotated[
        list[str] | None,
        typer.Option(
            help="What the network reads: video, audio, text; may repeat; else all.", rich_help_panel=_NETWORK
        ),
    ] = None,
    width: Annotated[int, typer.Option(min=8, rich_help_panel=_NETWORK, help="Numbers of a token.")] = 128,
    dropout: Annotated[float, typer.Option(min=0, max=0.9, rich_help_panel=_NETWORK)] = 0.1,
    steps: Annotated[int, typer.Option(min=1, rich_help_panel=_TRAINING)] = 600,
    batch: Annotated[int, typer.Option(min=1, rich_help_panel=_TRAINING, help="Windows in a step.")] = 64,
    rate: Annotated[float, typer.Option(rich_help_panel=_TRAINING, help="The highest learning rate.")] = 2e-3,
    optimizer: Annotated[str, typer.Option(rich_help_panel=_TRAINING, help="adamw or sgd.")] = "adamw",
    schedule: Annotated[str, typer.Option(rich_help_panel=_TRAINING, help="one-cycle or cosine.")] = "one-cycle",
    weight_decay: Annotated[float, typer.Option(min=0, rich_help_panel=_TRAINING)] = 0.01,
    evaluate_every: Annotated[
        int, typer.Option(min=1, rich_help_panel=_TRAINING, help="Steps between two looks at validation.")
    ] = 50,
    validation_size: Annotated[
        int, typer.Option(min=1, rich_help_panel=_TRAINING, help="Validation examples at most.")
    ] = 512,
    patience: Annotated[
        int, typer.Option(min=0, rich_help_panel=_TRAINING, help="Stop after so many looks in vain; 0 never does.")
    ] = 0,
    augment: Annotated[
        bool,
        typer.Option(
            "--augment/--no-augment", rich_help_panel=_TRAINING, help="Change the windows of each step a little."
        ),
    ] = True,
    augment_with: Annotated[
        list[str] | None,
        typer.Option(
            metavar="usual|NAME=VALUE",
            help="And each window by more, as triptych data show --augment shows; may repeat.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            rich_help_panel=_TRAINING,
            help="Of a generated benchmark, show no example twice: go on with others when all were seen.",
        ),
    ] = False,
    hold_encoders_after: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="STEP",
            rich_help_panel=_TRAINING,
            help="From then on only what lies behind the encoders learns, in half the time; 0 never.",
        ),
    ] = 0,
    storage: Annotated[
        str, typer.Option(rich_help_panel=_TRAINING, help="fp32, fp16, bf16 or int8: what the file of weights holds.")
    ] = "fp32",
    smoothing: Annotated[float, typer.Option(rich_help_panel=_LOSSES, help="Of labels.")] = 0.05,
    balanced: Annotated[
        bool, typer.Option("--balanced", rich_help_panel=_LOSSES, help="Weigh labels by how rare they are.")
    ] = False,
    auxiliary: Annotated[
        float, typer.Option(min=0, rich_help_panel=_LOSSES, help="Weight of each modality's own answer.")
    ] = 0.3,
    parts: Annotated[
        float, typer.Option(min=0, rich_help_panel=_LOSSES, help="Weight of what windows are made of.")
    ] = 0.3,
    contrast: Annotated[
        float, typer.Option(min=0, rich_help_panel=_LOSSES, help="Weight of InfoNCE, with --fusion projection.")
    ] = 0.0,
    modality_dropout: Annotated[
        float, typer.Option(rich_help_panel=_LOSSES, help="How often a modality is taken away.")
    ] = 0.15,
    teacher: Annotated[
        str, typer.Option(metavar="CHECKPOINT", help="A trained model to learn from.", rich_help_panel=_LOSSES)
    ] = "",
    teaching: Annotated[
        float, typer.Option(rich_help_panel=_LOSSES, help="The teacher's share of the answer's loss.")
    ] = 0.5,
    temperature: Annotated[
        float, typer.Option(rich_help_panel=_LOSSES, help="Softens the scores of teacher and student.")
    ] = 4.0,
    views: Annotated[
        float,
        typer.Option(min=0, rich_help_panel=_LOSSES, help="Weight of answering with less as with all modalities."),
    ] = 0.0,
) -> None:
    """Train a model that `triptych work --model FOLDER` serves.

    In several processes: torchrun --nproc-per-node 2 -m triptych train …
    """
    given = dict(locals())
    from rich.console import Console

    from triptych.models.execution.runtime import choose_device
    from triptych.models.pretrained.download.cache import cache_folder
    from triptych.training.data.catalogue import open_dataset
    from triptych.training.run import TrainingPlan
    from triptych.training.run import train as run

    console = Console(stderr=True)
    config = _config(given)
    dataset = open_dataset(data)
    plan = TrainingPlan(
        name=name or dataset.task.name,
        folder=out,
        seeds=seeds,
        resume=resume,
        weights_folder=cache_folder(),
        command=" ".join(["triptych", *(argument for argument in sys.argv[1:] if argument != "--resume")]),
    )
    from triptych.training.progress_bar import ProgressBar

    with ProgressBar(console, steps) as bar:
        summary = run(dataset, config, plan, device=choose_device(device), watch=bar.of_seed)
    if summary is not None:
        _tell(console, summary, out)


def _config(given: dict[str, Any]) -> Any:  # noqa: ANN401 - the type is heavy to import
    from triptych.training.config import LossConfig, NetworkConfig, TrainConfig
    from triptych.training.data.augmentation.config import augmentation_of

    _one_of("optimizer", given["optimizer"], ("adamw", "sgd"))
    _one_of("schedule", given["schedule"], ("one-cycle", "cosine"))
    encoders = _pairs("encoder", given["encoder"])
    for kind in encoders.values():
        _one_of("encoder", str(kind), ("small", "frozen", "tuned"))
    network = NetworkConfig(
        fusion=given["fusion"],
        fusion_options=_pairs("fusion-option", given["fusion_option"]),
        encoders={modality: str(kind) for modality, kind in encoders.items()},  # type: ignore[misc]
        width=given["width"],
        dropout=given["dropout"],
        modalities=tuple(given["modality"] or NetworkConfig().modalities),
    )
    losses = (
        "smoothing", "balanced", "auxiliary", "parts", "contrast", "modality_dropout", "teacher", "teaching",
        "temperature", "views",
    )  # fmt: skip
    training = (
        "steps", "batch", "rate", "optimizer", "schedule", "weight_decay", "evaluate_every", "validation_size",
        "patience", "augment", "seed", "device", "storage", "start", "hold_encoders_after", "fresh",
    )  # fmt: skip
    loss = LossConfig(**{name: given[name] for name in losses})
    changes = tuple(given["augment_with"] or ())
    augmentation_of(changes)  # said at once where it is wrong
    return TrainConfig(network=network, loss=loss, changes=changes, **{name: given[name] for name in training})


def _one_of(flag: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"--{flag}: expected {' or '.join(allowed)}, got {value!r}")


def _pairs(flag: str, given: list[str] | None) -> dict[str, int | float | str]:
    pairs: dict[str, int | float | str] = {}
    for pair in given or ():
        name, sign, value = pair.partition("=")
        if not (name and sign and value):
            raise UsageError(f"--{flag}: expected NAME=VALUE, got {pair!r}")
        pairs[name] = _number(value)
    return pairs


def _number(value: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _tell(console: Console, summary: TrainingSummary, out: Path) -> None:
    from statistics import fmean, stdev

    spread = f" ± {stdev(summary.scores):.4f}" if len(summary.scores) > 1 else ""
    alone = f", best single modality {fmean(summary.alone):.4f}" if summary.alone[0] == summary.alone[0] else ""
    console.print(f"validation score {fmean(summary.scores):.4f}{spread}{alone}", highlight=False)
    console.print(f"model: {out}", highlight=False, soft_wrap=True)
