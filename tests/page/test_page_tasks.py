"""The tasks of the benchmark, once each: the right answer comes on the screen, in few steps. Speed is not judged."""

from __future__ import annotations

from typing import Final

import pytest
from playwright.sync_api import Browser

from benchmarks.page_tasks.keystroke_model import effort
from benchmarks.page_tasks.page_tasks import FIND_CAUSE, FIND_WORD, PAGE_TASKS, REVIEW, run_task

MOST: Final = {
    (FIND_WORD, "known feed, keyboard"): (0, 16),
    (FIND_CAUSE, "mouse"): (1, 0),
    (REVIEW, "all alike, mouse"): (3, 0),
}
"""The clicks and keys that a task takes at most. The search, the health and single answers have tests of their own."""


@pytest.mark.parametrize(("task", "way"), MOST)
def test_a_task_is_done_in_few_steps(browser: Browser, task: str, way: str) -> None:
    """`run_task` raises if the moment, the cause or an answer is another one than the known one."""
    (wanted,) = (each for each in PAGE_TASKS if (each.task, each.way) == (task, way))

    cost = effort(run_task(wanted, browser))

    clicks, keys = MOST[task, way]
    assert cost.clicks <= clicks
    assert cost.keys <= keys
