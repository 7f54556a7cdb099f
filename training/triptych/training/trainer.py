"""Train one network: steps, looks at the validation split, the best weights kept, all of it resumable.

All chance of a step (order, dropout, modalities taken away) comes from the seed and the step's number, so training
gives the same weights again on the same machine, also when it was interrupted.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from triptych.models.checkpoints.card import Card
from triptych.models.checkpoints.checkpoint import load_checkpoint, save_checkpoint, trained_state
from triptych.models.checkpoints.quantisation import dequantise, quantise
from triptych.models.network.architecture import Network, build_network
from triptych.models.network.encoders.features import FeatureEncoder
from triptych.models.network.encoders.hashed_words import hash_words
from triptych.models.network.heads import RegressionHead
from triptych.schemas.errors import UsageError
from triptych.training.batches import ExampleSource, LabelledBatch, Order, target_tensor
from triptych.training.config import TrainConfig
from triptych.training.data.augmentation.config import augmentation_of
from triptych.training.data.augmentation.jitter import Jitter, jittered
from triptych.training.data.example import Dataset, Endless
from triptych.training.distillation import Teacher, load_teacher
from triptych.training.fit_temperature import fitted_temperature
from triptych.training.losses import Objective
from triptych.training.processes import Processes
from triptych.training.progress import Look, Watcher
from triptych.training.schedule import rate_at
from triptych.training.validation import Validation, validate

STATE_FILE = "unfinished.pt"
_MOMENTUM = 0.9
_GRADIENT_NORM = 1.0
_LEAST_DEVIATION = 1e-3
_CALIBRATION = 2_048
"""So many validation examples at most tell, at the end, how good the best network is and how sure it may be: more than
a look takes, for a temperature fitted on a few hundred is off by some hundredths."""
_SAMPLE = 512
"""So many training examples tell how frequent labels are, or how numbers spread, before training begins."""


@dataclass(slots=True)
class State:
    """Hold all that training goes on from, besides network and optimizer."""

    step: int = 0
    seconds: float = 0.0
    best_loss: float = float("inf")
    best_step: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    looks: list[Look] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    target_sum: Tensor | None = None
    targets: int = 0

    @property
    def stale_looks(self) -> int:
        """Return how many looks brought nothing better."""
        return sum(look.step > self.best_step for look in self.looks)


class Trainer:
    """Train a network on a data set.

    Args:
        dataset: with the splits `train` and `validation`.
        card: describes the network.
        config: says how.
        weights_folder: where pretrained weights lie.
        processes: which of how many this is.
    """

    def __init__(
        self,
        dataset: Dataset,
        card: Card,
        config: TrainConfig,
        *,
        weights_folder: Path,
        device: torch.device,
        processes: Processes,
    ) -> None:
        for split in ("train", "validation"):
            if split not in dataset.splits or not dataset.size(split):
                found = ", ".join(dataset.splits)
                raise UsageError(f"{dataset.task.name}: expected a split {split} with examples, found {found}")
        self._card, self._config, self._processes, self._device = card, config, processes, device
        self._task = dataset.task
        torch.manual_seed(_mixed(config.seed, "weights"))
        self._network: Network = build_network(card.architecture, weights_folder=weights_folder)
        if config.start:
            self._card = _begun_from(self._card, self._started(Path(config.start), weights_folder))
        self._network.model.to(device)
        teacher = None
        if config.loss.teacher:
            teacher = load_teacher(Path(config.loss.teacher), dataset.task, weights_folder=weights_folder)
            self._card = _taught_by(teacher, self._card)
        changes = augmentation_of(config.changes) if config.changes else None
        self._source = ExampleSource(dataset, card.input.spec(), self._network.tokenize, teacher, changes, config.seed)
        if config.fresh and not isinstance(dataset, Endless):
            raise UsageError(f"fresh: expected a generated benchmark, {dataset.task.name} has no other examples")
        self._order = Order(dataset.size("train"), config.batch, config.seed, fresh=config.fresh)
        self._learn_spreads(dataset)
        class_weights = self._prepared_by_sample(dataset)
        self._objective = Objective(
            self._network.model, card.architecture, config.loss, class_weights=class_weights, teacher=teacher
        ).to(device)
        self._module = processes.wrapped(self._objective)
        self._optimizer = _optimizer(self._network.model, config)
        self.state = State()

    def run(self, folder: Path, watchers: Sequence[Watcher]) -> Card:
        """Train to the end, write the best network there is into the folder, and return its card."""
        self._module.train()
        began = time.monotonic() - self.state.seconds
        first = self.state.step
        steps = self._source.steps(self._order, first, rank=self._processes.rank, processes=self._processes.count)
        with closing(steps) as batches:
            for batch in batches:
                loss = self._step(self._augmented(batch).to(self._device))
                stop = self._told(loss, began, folder, watchers) if self._processes.is_first else False
                if self._is_due() and self._processes.agreed(stop=stop):
                    break
        return self._finish(folder) if self._processes.is_first else self._card

    def _told(self, loss: float, began: float, folder: Path, watchers: Sequence[Watcher]) -> bool:
        """Tell those who watch of a step, look when it is time, and say whether training is to stop."""
        for watcher in watchers:
            watcher.stepped(self.state.step, loss)
        return self._look_when_due(began, folder, watchers)

    def resume(self, folder: Path) -> None:
        """Go on from what an interrupted training left in the folder.

        Raises:
            UsageError: nothing is there, or it was of another configuration.
        """
        try:
            stored = torch.load(folder / STATE_FILE, map_location=self._device, weights_only=True)
        except OSError as error:
            raise UsageError(f"{folder}: no interrupted training to resume: {error}") from error
        if stored["of"] != self._fingerprint():
            raise UsageError(f"{folder}: the interrupted training was of another configuration; take another folder")
        self._network.model.load_state_dict(stored["model"])
        self._optimizer.load_state_dict(stored["optimizer"])
        looks = [Look(**look) for look in stored["state"].pop("looks")]
        self.state = State(**stored["state"], looks=looks)

    def start_from(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the weights of a network that was trained before, in place of random ones."""
        self._network.model.load_state_dict(tensors, strict=False)  # frozen encoders have theirs already

    def _started(self, path: Path, weights_folder: Path) -> str:
        """Take the weights of a trained model that have a place here, and return its checksum."""
        checkpoint = load_checkpoint(path, weights_folder=weights_folder)
        wanted = self._network.model.state_dict()
        fitting = {
            name: tensor
            for name, tensor in checkpoint.network.model.state_dict().items()
            if name in wanted and wanted[name].shape == tensor.shape
        }
        matrices = {name for name, parameter in self._network.model.named_parameters() if parameter.ndim > 1}
        if not fitting.keys() & matrices:
            raise UsageError(f"{path}: none of its weights has a place in this network")
        self.start_from(fitting)
        return checkpoint.card.sha256()

    def _augmented(self, batch: LabelledBatch) -> LabelledBatch:
        if not self._config.augment:
            return batch
        chance = torch.Generator().manual_seed(
            _mixed(self._config.seed, self.state.step, self._processes.rank, "augment")
        )
        hashed = self._network.tokenize is hash_words
        return replace(batch, windows=jittered(batch.windows, Jitter(), chance, hashed_words=hashed))

    def _step(self, batch: LabelledBatch) -> float:
        step, config = self.state.step, self._config
        for group in self._optimizer.param_groups:
            group["lr"] = config.rate * rate_at(config.schedule, step, config.steps)
        torch.manual_seed(_mixed(config.seed, step, self._processes.rank))
        chance = torch.Generator().manual_seed(_mixed(config.seed, step, self._processes.rank, "modalities"))
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._device.type == "cuda"):
            terms = self._module(batch, chance, hold_encoders=0 < config.hold_encoders_after <= step)
        self._optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        nn.utils.clip_grad_norm_(self._network.model.parameters(), _GRADIENT_NORM)
        self._optimizer.step()
        self._count(batch, terms)
        self.state.step += 1
        return float(terms["loss"].detach())

    def _count(self, batch: LabelledBatch, terms: Mapping[str, Tensor]) -> None:
        for name, term in terms.items():
            self.state.sums[name] = self.state.sums.get(name, 0.0) + float(term.detach())
        target = batch.target.cpu()
        if self._task.kind == "multiclass":
            target = nn.functional.one_hot(target, len(self._task.labels))
        summed = target.double().sum(0)
        self.state.target_sum = summed if self.state.target_sum is None else self.state.target_sum + summed
        self.state.targets += len(target)

    def _is_due(self) -> bool:
        return self.state.step % self._config.evaluate_every == 0 or self.state.step >= self._config.steps

    def _look_when_due(self, began: float, folder: Path, watchers: Sequence[Watcher]) -> bool:
        """Look when it is time, and say whether training is to stop."""
        if not self._is_due():
            return False
        found = self._validated(self._config.validation_size)
        self.state.seconds = time.monotonic() - began
        look = self._look(found)
        self.state.looks.append(look)
        self.state.sums = {}
        if look.is_best:
            self.state.best_loss, self.state.best_step = look.loss, look.step
            self.state.best = {
                name: tensor.clone()
                for name, tensor in trained_state(self._network.model, self._card.architecture.frozen).items()
            }
        for watcher in watchers:
            watcher.looked(look)
        stale = self._config.patience and self.state.stale_looks >= self._config.patience
        stop = bool(stale) or self.state.step >= self._config.steps
        if not stop:
            self._write_state(folder)
        return stop

    def _look(self, found: Validation) -> Look:
        last = self.state.looks[-1].step if self.state.looks else 0
        steps = self.state.step - last
        return Look(
            step=self.state.step,
            seconds=round(self.state.seconds, 1),
            rate=self._optimizer.param_groups[0]["lr"],
            train={name: total / steps for name, total in self.state.sums.items()},
            loss=found.loss,
            score=found.score,
            alone=found.alone,
            is_best=found.loss < self.state.best_loss,
        )

    def _validated(self, most: int) -> Validation:
        size = min(most, self._source.dataset.size("validation"))
        batches = self._source.in_order("validation", size, self._config.batch)
        on_device = (batch.to(self._device) for batch in batches)
        return validate(self._network.model, self._card.architecture, on_device)

    def _finish(self, folder: Path) -> Card:
        model, storage = self._network.model, self._config.storage
        model.load_state_dict(dequantise(quantise(self.state.best, model, storage)), strict=False)
        found = self._validated(max(_CALIBRATION, self._config.validation_size))
        card = save_checkpoint(folder / "model", model.cpu(), self._finished_card(found), storage=storage)
        (folder / STATE_FILE).unlink(missing_ok=True)
        return card

    def _finished_card(self, found: Validation) -> Card:
        architecture, state = self._card.architecture, self.state
        temperature = fitted_temperature(found.logits, found.target, self._task.kind)
        share = state.target_sum / state.targets if state.target_sum is not None else torch.zeros(0)
        prior = tuple(round(float(number), 6) for number in share.reshape(-1))
        heads = tuple(
            head.model_copy(update={"temperature": temperature, "prior": prior}) if head.role == "target" else head
            for head in architecture.heads
        )
        measured = {"examples": len(found.target), "loss": found.loss, "score": found.score, "alone": found.alone}
        return self._card.model_copy(
            update={
                "architecture": architecture.model_copy(update={"heads": heads}),
                "metrics": {"validation": measured},
                "training": {
                    **self._card.training,
                    "data": self._task.name,
                    "config": asdict(self._config),
                    "processes": self._processes.count,
                    "steps": state.step,
                    "best_step": state.best_step,
                    "seconds": round(state.seconds, 1),
                    "torch": torch.__version__,
                },
            }
        )

    def _write_state(self, folder: Path) -> None:
        state = {name: getattr(self.state, name) for name in State.__slots__}
        content = {
            "of": self._fingerprint(),
            "model": self._network.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "state": state | {"looks": [asdict(look) for look in self.state.looks]},
        }
        partial = folder / f".{STATE_FILE}-{os.getpid()}"
        torch.save(content, partial)
        partial.replace(folder / STATE_FILE)

    def _fingerprint(self) -> str:
        # What a training does not use is left out, so that one that an earlier version began can be gone on with; and
        # the command, which says --resume when it is.
        unused: dict[str, Any] = {"training": {"command"}}
        if not self._card.input.features:
            unused["input"] = {"features"}
        card = self._card.model_dump_json(exclude=unused)
        decisive = f"{self._config} {card} {self._processes.count}" + " ".join(("", *self._config.changes))
        if self._config.hold_encoders_after:
            decisive += f" hold_encoders_after={self._config.hold_encoders_after}"
        if self._config.fresh:
            decisive += " fresh"
        return hashlib.sha256(decisive.encode()).hexdigest()

    def _learn_spreads(self, dataset: Dataset) -> None:
        """Tell encoders of features how the numbers spread that they will read."""
        encoders = {
            name: encoder
            for name, encoder in self._network.model.encoders.items()
            if isinstance(encoder, FeatureEncoder)
        }
        if not encoders:
            return
        sample = dataset.examples("train", range(min(_SAMPLE, dataset.size("train"))))
        for modality, encoder in encoders.items():
            steps = [example.window.features[modality] for example in sample if modality in example.window.features]
            if any(map(len, steps)):
                encoder.fit_normalization(torch.from_numpy(np.concatenate(steps)).to(self._device))

    def _prepared_by_sample(self, dataset: Dataset) -> Tensor | None:
        """Learn from a few examples what must be known beforehand, and return the weights of the labels if wanted."""
        needs_spread = self._task.kind == "regression"
        if not (needs_spread or self._config.loss.balanced):
            return None
        sample = dataset.examples("train", range(min(_SAMPLE, dataset.size("train"))))
        target = target_tensor(sample, self._task)
        if needs_spread:
            for head in self._network.model.heads.values():
                if isinstance(head, RegressionHead):
                    head.mean.copy_(target.mean())
                    head.deviation.copy_(target.std().clamp(min=_LEAST_DEVIATION))
            return None
        return _balancing(target, len(self._task.labels))


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Make torch repeat itself on a CPU, and put its settings and its chance back afterwards."""
    settings: Any = torch.utils.deterministic  # torch's types do not know what it holds
    before = torch.are_deterministic_algorithms_enabled(), settings.fill_uninitialized_memory
    with torch.random.fork_rng():
        torch.use_deterministic_algorithms(device.type == "cpu")
        # All memory is written before it is read; filling it beforehand all the same takes a twentieth of a step.
        settings.fill_uninitialized_memory = False
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0])
            settings.fill_uninitialized_memory = before[1]


def _taught_by(teacher: Teacher, card: Card) -> Card:
    """Name the teacher in the card; another one makes another training."""
    return card.model_copy(update={"training": {**card.training, "teacher_sha256": teacher.sha256}})


def _begun_from(card: Card, sha256: str) -> Card:
    """Name in the card the model that training began from; another one makes another training."""
    return card.model_copy(update={"training": {**card.training, "start_sha256": sha256}})


def _balancing(target: Tensor, labels: int) -> Tensor:
    """Return weights: of labels the inverse of how frequent they are; of labels that hold, how often they do not."""
    if target.ndim == 1:
        counts = torch.bincount(target, minlength=labels).clamp(min=1)
        return counts.sum() / (labels * counts)
    holding = target.sum(0).clamp(min=1)
    return (len(target) - holding).clamp(min=1) / holding


def _optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Decay matrices only: norms, biases and single vectors are free."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [one for one in learning if one.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [one for one in learning if one.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.rate, momentum=_MOMENTUM, nesterov=True)
    return torch.optim.AdamW(groups, lr=config.rate)


def _mixed(*parts: Any) -> int:  # noqa: ANN401 - numbers and words alike
    """Return a seed that differs wherever any part does."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7])
