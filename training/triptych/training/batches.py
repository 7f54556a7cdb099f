"""From a data set to batches: the order of examples, and their windows and targets as tensors.

The examples of a step depend only on the seed and the step number, so a resumed run sees the same batches.
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
from triptych.training.data.augmentation.config import Augmentation
from triptych.training.data.augmentation.window_augmentation import augment_example, random_for
from triptych.training.data.example import ABSENT, Dataset, Example, Task
from triptych.units import NS_PER_S

_AHEAD = 2


@dataclass(frozen=True, slots=True)
class LabelledBatch:
    """Windows and their targets.

    Attributes:
        windows: the batch, collated by the worker's own code.
        target: int64 [B] labels, float32 [B, K] flags, or float32 [B] numbers.
        parts: int64 [B] labels of each component; `ABSENT` where a window lacks it.
        for_teacher: the same windows in the teacher's input format, if there is a teacher.
    """

    windows: WindowBatch
    target: Tensor
    parts: dict[str, Tensor]
    for_teacher: WindowBatch | None = None

    def to(self, device: torch.device) -> LabelledBatch:
        """Return a copy on a device."""
        parts = {name: labels.to(device) for name, labels in self.parts.items()}
        taught = self.for_teacher.to(device) if self.for_teacher else None
        moved = self.windows.to(device)
        return replace(self, windows=moved, target=self.target.to(device), parts=parts, for_teacher=taught)


def labelled_batch(
    examples: Sequence[Example], task: Task, spec: InputSpec, tokenize: Tokenize | None
) -> LabelledBatch:
    """Collate examples into a batch."""
    parts = {part: torch.tensor([example.parts.get(part, ABSENT) for example in examples]) for part in task.parts}
    return LabelledBatch(_collated(examples, task, spec, tokenize), target_tensor(examples, task), parts)


def _collated(examples: Sequence[Example], task: Task, spec: InputSpec, tokenize: Tokenize | None) -> WindowBatch:
    windows = [example.window for example in examples]
    samples = task.window_ns * spec.sample_rate_hz // NS_PER_S
    return collate(windows, empty_batch(len(windows), samples, spec), tokenize)


def target_tensor(examples: Sequence[Example], task: Task) -> Tensor:
    """Return the targets: int64 [B] labels, float32 [B, K] flags, or float32 [B] numbers.

    Raises:
        TypeError: an example of a multilabel task has a single label.
    """
    if task.kind == "multilabel":
        holds = torch.zeros(len(examples), len(task.labels))
        for row, example in enumerate(examples):
            if not isinstance(example.target, tuple):
                raise TypeError(f"{example.id}: expected the indices of all labels that apply, got {example.target!r}")
            holds[row, list(example.target)] = 1
        return holds
    kind = torch.int64 if task.kind == "multiclass" else torch.float32
    return torch.tensor([example.target for example in examples], dtype=kind)


class ExampleOrder:
    """The examples of each step: one permutation of the split after another.

    Args:
        size: number of examples in the split.
        batch: examples in a step, over all processes.
        seed: seed of the permutations.
        fresh: continue with new indices after the split, for a data set that generates examples on demand.
    """

    def __init__(self, size: int, batch: int, seed: int, *, fresh: bool = False) -> None:
        self._size, self._batch, self._seed, self._fresh = size, batch, seed, fresh
        self._epoch = -1
        self._shuffled = np.zeros(0, np.int64)

    def indices(self, step: int, *, rank: int = 0, processes: int = 1) -> list[int]:
        """Return the indices of one process in a step. Steps count from 0."""
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


class InputFormat(Protocol):
    """How a network wants its windows."""

    spec: InputSpec
    tokenize: Tokenize | None


@dataclass(frozen=True, slots=True)
class ExampleSource:
    """Batches of a data set.

    Attributes:
        dataset: source of the examples.
        spec: how the network wants its windows.
        tokenize: tokenizer of the network, if it has one.
        teacher: input format of a teacher. It gets the same windows without augmentation.
        changes: augmentation of single training windows.
        seed: seed of the augmentation, combined with the step number.
    """

    dataset: Dataset
    spec: InputSpec
    tokenize: Tokenize | None
    teacher: InputFormat | None = None
    changes: Augmentation | None = None
    seed: int = 0

    def batch(self, split: str, indices: Sequence[int], step: int = 0) -> LabelledBatch:
        """Return the batch at these indices. Training windows are augmented as in this step."""
        examples = self.dataset.examples(split, indices)
        seen = examples
        if self.changes is not None and split == "train":
            seen = [augment_example(one, self.changes, random_for(self.seed, step, one.id)) for one in examples]
        batch = labelled_batch(seen, self.dataset.task, self.spec, self.tokenize)
        if self.teacher is None or split != "train":
            return batch
        taught = _collated(examples, self.dataset.task, self.teacher.spec, self.teacher.tokenize)
        return replace(batch, for_teacher=taught)

    def in_order(self, split: str, size: int, batch: int) -> Iterator[LabelledBatch]:
        """Yield the first `size` examples of a split in batches."""
        for first in range(0, size, batch):
            yield self.batch(split, range(first, min(size, first + batch)))

    def steps(
        self, order: ExampleOrder, first: int, *, rank: int = 0, processes: int = 1
    ) -> Generator[LabelledBatch, None, None]:
        """Yield the batch of each step from `first` on. A thread prepares the next batches meanwhile."""
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
