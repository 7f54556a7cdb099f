"""From a data set to batches: which examples each step sees, and their windows and targets as tensors.

Which examples a step sees depends on the seed and the step alone, so a resumed training goes on as it would have.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from triptych.models.model import InputSpec
from triptych.models.network.collate import WindowBatch, collate, empty_batch
from triptych.models.pretrained.tokenizer import Tokenize
from triptych.training.data.augmentation.augment import augment, chance_of
from triptych.training.data.augmentation.config import Augmentation
from triptych.training.data.example import ABSENT, Dataset, Example, Task
from triptych.units import NS_PER_S

_AHEAD = 2


@dataclass(frozen=True, slots=True)
class LabelledBatch:
    """Hold windows and what is true of them.

    Attributes:
        windows: the batch as the worker would make it.
        target: int64 [B] of labels, float32 [B, K] of labels that hold, or float32 [B] of numbers.
        parts: int64 [B] by part; `ABSENT` where a window has none.
        for_teacher: the same windows as a teacher reads them, where there is one.
    """

    windows: WindowBatch
    target: Tensor
    parts: dict[str, Tensor]
    for_teacher: WindowBatch | None = None

    def to(self, device: torch.device) -> LabelledBatch:
        """Copy to a device."""
        parts = {name: labels.to(device) for name, labels in self.parts.items()}
        taught = self.for_teacher.to(device) if self.for_teacher else None
        moved = self.windows.to(device)
        return replace(self, windows=moved, target=self.target.to(device), parts=parts, for_teacher=taught)


def labelled_batch(
    examples: Sequence[Example], task: Task, spec: InputSpec, tokenize: Tokenize | None
) -> LabelledBatch:
    """Collate examples."""
    parts = {part: torch.tensor([example.parts.get(part, ABSENT) for example in examples]) for part in task.parts}
    return LabelledBatch(_collated(examples, task, spec, tokenize), target_tensor(examples, task), parts)


def _collated(examples: Sequence[Example], task: Task, spec: InputSpec, tokenize: Tokenize | None) -> WindowBatch:
    windows = [example.window for example in examples]
    samples = task.window_ns * spec.sample_rate_hz // NS_PER_S
    return collate(windows, empty_batch(len(windows), samples, spec), tokenize)


def target_tensor(examples: Sequence[Example], task: Task) -> Tensor:
    """Return what is true of the examples, by the task's kind; see `LabelledBatch`."""
    if task.kind == "multilabel":
        holds = torch.zeros(len(examples), len(task.labels))
        for row, example in enumerate(examples):
            if not isinstance(example.target, tuple):
                raise TypeError(f"{example.id}: expected the indices of all labels that hold, got {example.target!r}")
            holds[row, list(example.target)] = 1
        return holds
    kind = torch.int64 if task.kind == "multiclass" else torch.float32
    return torch.tensor([example.target for example in examples], dtype=kind)


class Order:
    """Say which examples each step sees: all of a split in random order, then all in another order, and so on.

    Args:
        size: of the split.
        batch: examples of a step, of all processes together.
        seed: of the order.
        fresh: after all of the split go on with the next so many, which an endless data set makes.
    """

    def __init__(self, size: int, batch: int, seed: int, *, fresh: bool = False) -> None:
        self._size, self._batch, self._seed, self._fresh = size, batch, seed, fresh
        self._epoch = -1
        self._shuffled = np.zeros(0, np.int64)

    def indices(self, step: int, *, rank: int = 0, processes: int = 1) -> list[int]:
        """Return the share of one process in a step, counted from 0."""
        first = step * self._batch
        return [self._at(place) for place in range(first + rank, first + self._batch, processes)]

    def _at(self, place: int) -> int:
        epoch, offset = divmod(place, self._size)
        if epoch != self._epoch:
            self._epoch = epoch
            self._shuffled = np.random.default_rng((self._seed, epoch)).permutation(self._size)
            if self._fresh:
                self._shuffled += epoch * self._size
        return int(self._shuffled[offset])


class Reading(Protocol):
    """Says how a network wants its windows."""

    spec: InputSpec
    tokenize: Tokenize | None


@dataclass(frozen=True, slots=True)
class ExampleSource:
    """Make batches of a data set.

    Attributes:
        dataset: where examples come from.
        spec: how the network wants its windows.
        tokenize: cuts text for it.
        teacher: who reads the same windows in another way, and not changed.
        changes: what happens to training windows before they are put together.
        seed: of the chance of that; a step has its own.
    """

    dataset: Dataset
    spec: InputSpec
    tokenize: Tokenize | None
    teacher: Reading | None = None
    changes: Augmentation | None = None
    seed: int = 0

    def batch(self, split: str, indices: Sequence[int], step: int = 0) -> LabelledBatch:
        """Return the examples at these indices, those of training as a step sees them."""
        examples = self.dataset.examples(split, indices)
        seen = examples
        if self.changes is not None and split == "train":
            seen = [augment(one, self.changes, chance_of(self.seed, step, one.id)) for one in examples]
        batch = labelled_batch(seen, self.dataset.task, self.spec, self.tokenize)
        if self.teacher is None or split != "train":
            return batch
        taught = _collated(examples, self.dataset.task, self.teacher.spec, self.teacher.tokenize)
        return replace(batch, for_teacher=taught)

    def in_order(self, split: str, size: int, batch: int) -> Iterator[LabelledBatch]:
        """Yield the first examples of a split, as many at once as a step has."""
        for first in range(0, size, batch):
            yield self.batch(split, range(first, min(size, first + batch)))

    def steps(
        self, order: Order, first: int, *, rank: int = 0, processes: int = 1
    ) -> Generator[LabelledBatch, None, None]:
        """Yield the batch of each step from the first one on, the next ones being made meanwhile."""
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
            waiting: list[Future[LabelledBatch]] = []
            try:
                for step in count(first):
                    indices = order.indices(step, rank=rank, processes=processes)
                    waiting.append(pool.submit(self.batch, "train", indices, step))
                    if len(waiting) > _AHEAD:
                        yield waiting.pop(0).result()
            finally:
                for future in waiting:
                    future.cancel()
