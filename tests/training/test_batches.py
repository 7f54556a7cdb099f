"""Which examples a step uses, and the batch that is made of them."""

from __future__ import annotations

from itertools import islice

import torch

from tests.training.toys import ToyDataset
from triptych.models.network.encoders.hashed_words import hash_words
from triptych.training.batches import ExampleOrder, ExampleSource


def test_every_epoch_uses_every_example_once_in_another_order() -> None:
    """Also if a step's batch spans two epochs."""
    order = ExampleOrder(10, 4, seed=1)
    seen = [index for step in range(5) for index in order.indices(step)]

    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:]


def test_fresh_epochs_continue_with_new_examples() -> None:
    """No example repeats, and the first epoch is unchanged."""
    order = ExampleOrder(10, 4, seed=1, fresh=True)
    seen = [index for step in range(5) for index in order.indices(step)]

    assert sorted(seen) == list(range(20))
    assert seen[:10] == [index for step in range(3) for index in ExampleOrder(10, 4, seed=1).indices(step)][:10]


def test_a_step_always_has_the_same_examples() -> None:
    """So a run can be resumed."""
    order, again = ExampleOrder(10, 4, seed=1), ExampleOrder(10, 4, seed=1)
    forwards = [order.indices(step) for step in range(9)]

    assert [again.indices(step) for step in reversed(range(9))] == forwards[::-1]
    assert ExampleOrder(10, 4, seed=2).indices(0) != forwards[0]


def test_processes_share_a_step_without_overlap() -> None:
    """Together they use the examples of one process."""
    order = ExampleOrder(100, 8, seed=1)
    shares = [order.indices(3, rank=rank, processes=2) for rank in range(2)]

    assert [len(share) for share in shares] == [4, 4]
    assert sorted(shares[0] + shares[1]) == sorted(order.indices(3))


def test_batches_come_in_the_order_of_steps() -> None:
    """Although they are prepared ahead."""
    dataset = ToyDataset()
    source = ExampleSource(dataset, dataset.task.spec, hash_words)
    order = ExampleOrder(dataset.size("train"), 4, seed=1)
    batches = list(islice(source.steps(order, 2), 3))

    for step, batch in enumerate(batches, start=2):
        examples = dataset.examples("train", order.indices(step))
        assert batch.target.tolist() == [example.target for example in examples]
        assert batch.parts["mood"].tolist() == [example.parts["mood"] for example in examples]
        assert batch.windows.text_mask.any(1).all()


def test_multilabel_targets_are_flags() -> None:
    """One column for each label."""
    dataset = ToyDataset("multilabel")
    batch = ExampleSource(dataset, dataset.task.spec, None).batch("train", range(4))

    for row, example in enumerate(dataset.examples("train", range(4))):
        assert isinstance(example.target, tuple)
        assert torch.nonzero(batch.target[row]).flatten().tolist() == list(example.target)
