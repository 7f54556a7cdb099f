"""Of boxes that overlap, the best remains, inside the picture."""

from __future__ import annotations

import pytest
import torch

from triptych.models.detection.boxes import FoundBox, best_boxes


def best(*boxes: tuple[tuple[float, float, float, float], float, int]) -> list[FoundBox]:
    """Return the best of boxes that are given with score and label."""
    corners = torch.tensor([box for box, _, _ in boxes]).reshape(-1, 4)
    scores, labels = torch.tensor([score for _, score, _ in boxes]), torch.tensor([label for *_, label in boxes]).long()
    return best_boxes(corners, scores, labels, names=("cat", "dog"), max_overlap=0.4)


def test_nothing_is_found_in_nothing() -> None:
    """No box is above the threshold."""
    assert best() == []


def test_the_better_of_two_boxes_of_a_label_remains() -> None:
    """Even if it comes second."""
    found = best(((0.1, 0.1, 0.5, 0.5), 0.6, 0), ((0.12, 0.1, 0.5, 0.5), 0.9, 0))
    assert [(each.label, each.score) for each in found] == [("cat", pytest.approx(0.9))]


def test_boxes_of_different_labels_do_not_suppress_each_other() -> None:
    """A dog may sit on a cat."""
    found = best(((0.1, 0.1, 0.5, 0.5), 0.6, 0), ((0.1, 0.1, 0.5, 0.5), 0.9, 1))
    assert [each.label for each in found] == ["dog", "cat"]


def test_boxes_that_hardly_overlap_both_remain() -> None:
    """By falling score."""
    found = best(((0.1, 0.1, 0.5, 0.5), 0.6, 0), ((0.4, 0.1, 0.8, 0.5), 0.9, 0))
    assert [each.box for each in found] == [pytest.approx((0.4, 0.1, 0.8, 0.5)), pytest.approx((0.1, 0.1, 0.5, 0.5))]


def test_boxes_are_cut_at_the_edges() -> None:
    """One that lies outside is left out."""
    found = best(((-0.2, 0.1, 0.5, 1.5), 0.9, 0), ((1.1, 0.1, 1.5, 0.5), 0.8, 0))
    assert [each.box for each in found] == [pytest.approx((0.0, 0.1, 0.5, 1.0))]
