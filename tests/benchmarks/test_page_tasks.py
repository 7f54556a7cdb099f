"""The Keystroke-Level Model, and the steps that are written down for Frigate."""

from __future__ import annotations

import pytest

from benchmarks.page_tasks.frigate_tasks import FRIGATE_TASKS
from benchmarks.page_tasks.keystroke_model import TaskStep, effort
from benchmarks.page_tasks.page_tasks import PAGE_TASKS


def test_the_operators_are_summed() -> None:
    """To think, point, click, move the hand to the keyboard, and type three letters."""
    cost = effort([TaskStep("click", "MPBB", 0.25), TaskStep("type", "HKKK", 0.5)])

    assert (cost.clicks, cost.keys) == (1, 3)
    assert cost.user_s == pytest.approx(1.35 + 1.1 + 0.2 + 0.4 + 3 * 0.28)
    assert cost.wait_s == 0.75
    assert cost.operators == "3K 1P 2B 1H 1M"


def test_an_unknown_operator_is_an_error() -> None:
    """A slip must not make a task cheaper."""
    with pytest.raises(KeyError):
        effort([TaskStep("draw", "D")])


def test_each_task_of_the_page_is_written_down_for_frigate_with_its_sources() -> None:
    """Each has a way in both, and says where its steps were read."""
    assert {task.task for task in FRIGATE_TASKS} == {task.task for task in PAGE_TASKS}
    for task in FRIGATE_TASKS:
        assert task.sources
        assert effort(task.steps).user_s > 0
