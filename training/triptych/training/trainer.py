"""Training of one network: steps, validation passes, the best weights, and resumption.

All randomness of a step (order of examples, dropout, modality dropout) is derived from the seed and the step number.
On a CPU, the same command therefore gives the same weights, bit by bit, also after an interruption.
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
from triptych.training.batches import ExampleOrder, ExampleSource, LabelledBatch, target_tensor
from triptych.training.callbacks import TrainingCallback, ValidationRecord
from triptych.training.config import TrainConfig
from triptych.training.data.augmentation.batch_augmentation import Jitter, jitter_batch
from triptych.training.data.augmentation.config import parse_augmentation
from triptych.training.data.example import Dataset, Endless
from triptych.training.distillation import Teacher, load_teacher
from triptych.training.fit_temperature import fit_temperature
from triptych.training.losses import Objective
from triptych.training.processes import Processes
from triptych.training.schedule import rate_at
from triptych.training.validation import Validation, validate

STATE_FILE = "unfinished.pt"
_MOMENTUM = 0.9
_GRADIENT_NORM = 1.0
_LEAST_DEVIATION = 1e-3
_CALIBRATION = 2_048
"""Maximum number of examples in the final validation. It is larger than that of a validation pass during training,
because a temperature fitted on a few hundred examples is off by several hundredths.
"""
_SAMPLE = 512
"""Number of training examples that class frequencies and feature statistics are estimated from."""


@dataclass(slots=True)
class TrainingState:
    """The state of a run besides the network and the optimizer.

    Attributes:
        step: number of finished steps.
        seconds: duration of the run up to the last validation pass.
        best_loss: lowest validation loss.
        best_step: step of the lowest validation loss.
        best: weights at that step, by name in the network's state dict.
        looks: results of all validation passes; the name is that of the key in the stored state.
        sums: sums of the training losses since the last validation pass, by term.
        target_sum: float64 [K], sum of the one-hot targets so far, or [] for a regression.
        targets: number of targets in `target_sum`.
    """

    step: int = 0
    seconds: float = 0.0
    best_loss: float = float("inf")
    best_step: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    looks: list[ValidationRecord] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    target_sum: Tensor | None = None
    targets: int = 0

    @property
    def passes_since_best(self) -> int:
        """Return the number of validation passes since the lowest loss."""
        return sum(record.step > self.best_step for record in self.looks)


class Trainer:
    """Train a network on a data set.

    Args:
        dataset: has the splits `train` and `validation`.
        card: describes the network.
        config: how to train.
        weights_folder: folder of the pretrained weights.
        device: device to run on.
        processes: rank of this process and number of processes.

    Raises:
        UsageError: a split is missing, or the configuration, the data set and the checkpoints do not fit together.
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
        torch.manual_seed(_derived_seed(config.seed, "weights"))
        self._network: Network = build_network(card.architecture, weights_folder=weights_folder)
        if config.start:
            self._card = _with_start(self._card, self._load_start(Path(config.start), weights_folder))
        self._network.model.to(device)
        teacher = None
        if config.loss.teacher:
            teacher = load_teacher(Path(config.loss.teacher), dataset.task, weights_folder=weights_folder)
            self._card = _with_teacher(teacher, self._card)
        changes = parse_augmentation(config.changes) if config.changes else None
        self._source = ExampleSource(dataset, card.input.spec(), self._network.tokenize, teacher, changes, config.seed)
        if config.fresh and not isinstance(dataset, Endless):
            raise UsageError(
                f"fresh: expected a generated benchmark, got {dataset.task.name}, whose examples are limited"
            )
        self._order = ExampleOrder(dataset.size("train"), config.batch, config.seed, fresh=config.fresh)
        self._fit_feature_statistics(dataset)
        class_weights = self._fit_label_statistics(dataset)
        self._objective = Objective(
            self._network.model, card.architecture, config.loss, class_weights=class_weights, teacher=teacher
        ).to(device)
        self._module = processes.wrap(self._objective)
        self._optimizer = _optimizer(self._network.model, config)
        self.state = TrainingState()

    def run(self, folder: Path, callbacks: Sequence[TrainingCallback]) -> Card:
        """Train to the end, write the best checkpoint to the folder, and return its card. Blocks until then."""
        self._module.train()
        started_s = time.monotonic() - self.state.seconds
        first = self.state.step
        steps = self._source.steps(self._order, first, rank=self._processes.rank, processes=self._processes.count)
        with closing(steps) as batches:
            for batch in batches:
                loss = self._step(self._augment(batch).to(self._device))
                stop = self._notify(loss, started_s, folder, callbacks) if self._processes.is_first else False
                if self._is_due() and self._processes.broadcast_stop(stop=stop):
                    break
        return self._finish(folder) if self._processes.is_first else self._card

    def _notify(self, loss: float, started_s: float, folder: Path, callbacks: Sequence[TrainingCallback]) -> bool:
        """Report a step to the callbacks, validate if due, and return whether to stop."""
        for callback in callbacks:
            callback.on_step(self.state.step, loss)
        return self._validate_when_due(started_s, folder, callbacks)

    def resume(self, folder: Path) -> None:
        """Restore the state of an interrupted run from the folder.

        Raises:
            UsageError: there is no such state, or it belongs to another configuration.
        """
        try:
            stored = torch.load(folder / STATE_FILE, map_location=self._device, weights_only=True)
        except OSError as error:
            raise UsageError(f"{folder}: no interrupted run to resume: {error}") from error
        if stored["of"] != self._fingerprint():
            raise UsageError(f"{folder}: the interrupted run had another configuration: choose another folder")
        self._network.model.load_state_dict(stored["model"])
        self._optimizer.load_state_dict(stored["optimizer"])
        looks = [ValidationRecord(**record) for record in stored["state"].pop("looks")]
        self.state = TrainingState(**stored["state"], looks=looks)

    def start_from(self, tensors: Mapping[str, Tensor]) -> None:
        """Load the weights of a trained network instead of random ones."""
        self._network.model.load_state_dict(tensors, strict=False)  # a checkpoint lacks the frozen encoders

    def _load_start(self, path: Path, weights_folder: Path) -> str:
        """Load the weights whose name and shape match from a checkpoint, and return the checkpoint's checksum."""
        checkpoint = load_checkpoint(path, weights_folder=weights_folder)
        wanted = self._network.model.state_dict()
        fitting = {
            name: tensor
            for name, tensor in checkpoint.network.model.state_dict().items()
            if name in wanted and wanted[name].shape == tensor.shape
        }
        matrices = {name for name, parameter in self._network.model.named_parameters() if parameter.ndim > 1}
        if not fitting.keys() & matrices:
            raise UsageError(f"{path}: expected weights that fit this network, but no name and shape match")
        self.start_from(fitting)
        return checkpoint.card.sha256()

    def _augment(self, batch: LabelledBatch) -> LabelledBatch:
        if not self._config.augment:
            return batch
        rng = torch.Generator().manual_seed(
            _derived_seed(self._config.seed, self.state.step, self._processes.rank, "augment")
        )
        hashed = self._network.tokenize is hash_words
        return replace(batch, windows=jitter_batch(batch.windows, Jitter(), rng, hashed_words=hashed))

    def _step(self, batch: LabelledBatch) -> float:
        step, config = self.state.step, self._config
        for group in self._optimizer.param_groups:
            group["lr"] = config.rate * rate_at(config.schedule, step, config.steps)
        torch.manual_seed(_derived_seed(config.seed, step, self._processes.rank))
        rng = torch.Generator().manual_seed(_derived_seed(config.seed, step, self._processes.rank, "modalities"))
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._device.type == "cuda"):
            terms = self._module(batch, rng, hold_encoders=0 < config.hold_encoders_after <= step)
        self._optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        nn.utils.clip_grad_norm_(self._network.model.parameters(), _GRADIENT_NORM)
        self._optimizer.step()
        self._accumulate(batch, terms)
        self.state.step += 1
        return float(terms["loss"].detach())

    def _accumulate(self, batch: LabelledBatch, terms: Mapping[str, Tensor]) -> None:
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

    def _validate_when_due(self, started_s: float, folder: Path, callbacks: Sequence[TrainingCallback]) -> bool:
        """Validate if due, and return whether to stop."""
        if not self._is_due():
            return False
        found = self._validate(self._config.validation_size)
        self.state.seconds = time.monotonic() - started_s
        record = self._record_of(found)
        self.state.looks.append(record)
        self.state.sums = {}
        if record.is_best:
            self.state.best_loss, self.state.best_step = record.loss, record.step
            self.state.best = {
                name: tensor.clone()
                for name, tensor in trained_state(self._network.model, self._card.architecture.frozen).items()
            }
        for callback in callbacks:
            callback.on_validation(record)
        stale = self._config.patience and self.state.passes_since_best >= self._config.patience
        stop = bool(stale) or self.state.step >= self._config.steps
        if not stop:
            self._write_state(folder)
        return stop

    def _record_of(self, found: Validation) -> ValidationRecord:
        last = self.state.looks[-1].step if self.state.looks else 0
        steps = self.state.step - last
        return ValidationRecord(
            step=self.state.step,
            seconds=round(self.state.seconds, 1),
            rate=self._optimizer.param_groups[0]["lr"],
            train={name: total / steps for name, total in self.state.sums.items()},
            loss=found.loss,
            score=found.score,
            alone=found.alone,
            is_best=found.loss < self.state.best_loss,
        )

    def _validate(self, most: int) -> Validation:
        size = min(most, self._source.dataset.size("validation"))
        batches = self._source.in_order("validation", size, self._config.batch)
        on_device = (batch.to(self._device) for batch in batches)
        return validate(self._network.model, self._card.architecture, on_device)

    def _finish(self, folder: Path) -> Card:
        model, storage = self._network.model, self._config.storage
        model.load_state_dict(dequantise(quantise(self.state.best, model, storage)), strict=False)
        found = self._validate(max(_CALIBRATION, self._config.validation_size))
        card = save_checkpoint(folder / "model", model.cpu(), self._finished_card(found), storage=storage)
        (folder / STATE_FILE).unlink(missing_ok=True)
        return card

    def _finished_card(self, found: Validation) -> Card:
        architecture, state = self._card.architecture, self.state
        temperature = fit_temperature(found.logits, found.target, self._task.kind)
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
        state = {name: getattr(self.state, name) for name in TrainingState.__slots__}
        content = {
            "of": self._fingerprint(),
            "model": self._network.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "state": state | {"looks": [asdict(record) for record in self.state.looks]},
        }
        partial = folder / f".{STATE_FILE}-{os.getpid()}"
        torch.save(content, partial)
        partial.replace(folder / STATE_FILE)

    def _fingerprint(self) -> str:
        # Options that are off stay out of the fingerprint, so that runs of earlier versions can be resumed. So does the
        # command, because it differs by --resume.
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

    def _fit_feature_statistics(self, dataset: Dataset) -> None:
        """Estimate mean and spread of the features for the feature encoders, from a sample of training examples."""
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

    def _fit_label_statistics(self, dataset: Dataset) -> Tensor | None:
        """Estimate label statistics from a sample of training examples, and return the class weights, if any.

        A regression head gets the mean and the deviation of the targets.
        """
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
        return _class_weights(target, len(self._task.labels))


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Make torch deterministic on a CPU, and restore its settings and its random state on exit."""
    settings: Any = torch.utils.deterministic  # torch's stubs lack its attribute
    before = torch.are_deterministic_algorithms_enabled(), settings.fill_uninitialized_memory
    with torch.random.fork_rng():
        torch.use_deterministic_algorithms(device.type == "cpu")
        # All memory is written before it is read. Filling it first would cost a twentieth of a step.
        settings.fill_uninitialized_memory = False
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0])
            settings.fill_uninitialized_memory = before[1]


def _with_teacher(teacher: Teacher, card: Card) -> Card:
    """Return the card with the teacher's checksum. It is part of the run's fingerprint."""
    return card.model_copy(update={"training": {**card.training, "teacher_sha256": teacher.sha256}})


def _with_start(card: Card, sha256: str) -> Card:
    """Return the card with the checksum of the start checkpoint. It is part of the run's fingerprint."""
    return card.model_copy(update={"training": {**card.training, "start_sha256": sha256}})


def _class_weights(target: Tensor, labels: int) -> Tensor:
    """Return class weights, float [K]: inverse frequency, or the ratio of negatives to positives for flags.

    Args:
        target: int64 [N] labels, or float32 [N, K] flags.
        labels: number of labels K.
    """
    if target.ndim == 1:
        counts = torch.bincount(target, minlength=labels).clamp(min=1)
        return counts.sum() / (labels * counts)
    holding = target.sum(0).clamp(min=1)
    return (len(target) - holding).clamp(min=1) / holding


def _optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return the optimizer. Only matrices get weight decay; biases, norms and vectors do not."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [one for one in learning if one.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [one for one in learning if one.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.rate, momentum=_MOMENTUM, nesterov=True)
    return torch.optim.AdamW(groups, lr=config.rate)


def _derived_seed(*parts: Any) -> int:  # noqa: ANN401 - numbers and strings alike
    """Return a seed that is a hash of the parts."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7])
