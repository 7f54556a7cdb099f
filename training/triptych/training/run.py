"""A training run: one seed or several, each with a checkpoint, curves and a validation record."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from triptych.models.checkpoints.card import Card, read_card
from triptych.models.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from triptych.models.checkpoints.paths import checkpoint_files
from triptych.schemas.errors import UsageError
from triptych.training.callbacks import TrainingCallback
from triptych.training.config import TrainConfig
from triptych.training.curves import EventFiles, draw_curves, write_records
from triptych.training.data.example import Dataset
from triptych.training.network_design import new_card
from triptych.training.processes import Processes, join_process_group
from triptych.training.trainer import STATE_FILE, Trainer, deterministic

LOOKS_FILE = "looks.jsonl"
CURVES_FILE = "curves.png"
EVENTS_FOLDER = "tensorboard"
SUMMARY_FILE = "summary.json"


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What a run produces, and where.

    Attributes:
        name: name of the model.
        folder: output folder.
        seeds: number of seeds, counted up from the configuration's seed.
        resume: continue an interrupted run.
        weights_folder: folder of the pretrained weights.
        command: command line of the run, for the card.
    """

    name: str
    folder: Path
    seeds: int
    resume: bool
    weights_folder: Path
    command: str = ""


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """The results of all seeds on the validation examples.

    Attributes:
        cards: card of each seed's checkpoint.
        scores: fused score of each seed.
        alone: score of the best single modality of each seed; NaN without single-modality heads.
    """

    cards: tuple[Card, ...]
    scores: tuple[float, ...]
    alone: tuple[float, ...]


def train(
    dataset: Dataset,
    config: TrainConfig,
    plan: TrainingPlan,
    *,
    device: torch.device,
    callback_for_seed: Callable[[int], TrainingCallback],
) -> TrainingSummary | None:
    """Train all seeds and return their results, or None in all processes but the first.

    Args:
        dataset: data set to train on.
        config: how to train.
        plan: what to produce.
        device: device to run on.
        callback_for_seed: returns the callback for the run of a seed.

    Raises:
        UsageError: the folder holds a run and `plan.resume` is off, or data set, configuration and checkpoints do not
            fit together.
    """
    _check(plan)
    with join_process_group(device) as processes, deterministic(device):
        if str(device) == "cuda":
            device = torch.device("cuda", processes.rank % torch.cuda.device_count())
        cards = [
            _train_one(
                dataset,
                replace(config, seed=seed),
                plan,
                device=device,
                processes=processes,
                callback=callback_for_seed(seed),
            )
            for seed in range(config.seed, config.seed + plan.seeds)
        ]
        first = processes.is_first
    if not first:
        return None
    summary = _summary(cards)
    if plan.seeds > 1:
        _keep_best(cards, config, plan)
    (plan.folder / SUMMARY_FILE).write_text(json.dumps(_as_json(summary), indent=2) + "\n", encoding="utf-8")
    return summary


def _check(plan: TrainingPlan) -> None:
    if plan.seeds < 1:
        raise UsageError(f"seeds: expected at least 1, got {plan.seeds}")
    used = [file for file in plan.folder.rglob("*") if file.name in {STATE_FILE, SUMMARY_FILE}]
    if used and not plan.resume:
        raise UsageError(
            f"{plan.folder} already holds a training run: choose another folder, or continue it with --resume"
        )


def _train_one(
    dataset: Dataset,
    config: TrainConfig,
    plan: TrainingPlan,
    *,
    device: torch.device,
    processes: Processes,
    callback: TrainingCallback,
) -> Card:
    folder = plan.folder if plan.seeds == 1 else plan.folder / f"seed-{config.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    is_interrupted = (folder / STATE_FILE).is_file()
    if plan.resume and not is_interrupted and checkpoint_files(folder)[1].is_file():
        return read_card(checkpoint_files(folder)[1])
    card = new_card(dataset.task, config, name=plan.name)
    if plan.command:
        card = card.model_copy(update={"training": {"command": plan.command}})
    trainer = Trainer(dataset, card, config, weights_folder=plan.weights_folder, device=device, processes=processes)
    if plan.resume and is_interrupted:
        trainer.resume(folder)
    with ExitStack() as stack:
        callbacks: list[TrainingCallback] = []
        if processes.is_first:
            events = EventFiles(folder / EVENTS_FOLDER)
            stack.callback(events.close)
            callbacks = [callback, events]
        card = trainer.run(folder, callbacks)
    if processes.is_first:
        write_records(trainer.state.looks, folder / LOOKS_FILE)
        title = f"{plan.name}: {config.network.fusion}, seed {config.seed}"
        draw_curves(trainer.state.looks, folder / CURVES_FILE, title=title)
    return card


def _summary(cards: Sequence[Card]) -> TrainingSummary:
    measured = [card.metrics["validation"] for card in cards]
    alone = tuple(max(one["alone"].values(), default=float("nan")) for one in measured)
    return TrainingSummary(tuple(cards), tuple(one["score"] for one in measured), alone)


def _keep_best(cards: Sequence[Card], config: TrainConfig, plan: TrainingPlan) -> None:
    """Copy the checkpoint of the seed with the lowest validation loss to where a single seed's checkpoint would be."""
    best = min(range(len(cards)), key=lambda index: cards[index].metrics["validation"]["loss"])
    checkpoint = load_checkpoint(plan.folder / f"seed-{config.seed + best}", weights_folder=plan.weights_folder)
    save_checkpoint(plan.folder / "model", checkpoint.network.model, checkpoint.card, storage=config.storage)


def _as_json(summary: TrainingSummary) -> dict[str, object]:
    deviation = statistics.stdev(summary.scores) if len(summary.scores) > 1 else None
    return {
        "seeds": [card.training["config"]["seed"] for card in summary.cards],
        "scores": summary.scores,
        "mean": statistics.fmean(summary.scores),
        "deviation": deviation,
        "best_single_modality": summary.alone,
    }
