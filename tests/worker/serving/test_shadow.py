"""A second model is compared with the first one and can do it no harm."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TypeVar

import numpy as np

from tests.worker.serving.models import WINDOW_NS, TextModel, saying
from triptych.models.window import PreparedWindow
from triptych.worker.observability.events import (
    Event,
    ShadowFailed,
    ShadowInferred,
    ShadowSkipped,
    ShadowSummarised,
)
from triptych.worker.observability.hooks import Hooks
from triptych.worker.serving.shadow import BATCHES_WAITING, FAILURES_ALLOWED, Shadow
from triptych.worker.serving.shadow_summary import Answered

_E = TypeVar("_E", bound=Event)
MAIN = TextModel("main").info


def answered(number: int, glad: float = 1.0) -> Answered:
    """Return a window of the stream `city` that the model has answered."""
    start_ns = number * WINDOW_NS
    return PreparedWindow("city", start_ns, start_ns + WINDOW_NS, (), (), np.zeros(0, np.float32), (), ()), saying(glad)


class Stage:
    """A shadow and what it tells."""

    def __init__(self, shadow: Shadow, events: list[Event]) -> None:
        self.shadow = shadow
        self._events = events

    def seen(self, kind: type[_E]) -> list[_E]:
        """Return the events of a kind."""
        return [event for event in self._events if isinstance(event, kind)]

    def wait_for(self, kind: type[Event], count: int) -> None:
        """Return when so many of a kind have happened."""
        wait_until(lambda: len(self.seen(kind)) >= count)


def wait_until(true: Callable[[], bool]) -> None:
    """Return when it holds."""
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@contextmanager
def staged(model: TextModel | None, *, share: float = 1.0) -> Iterator[Stage]:
    """Open a shadow with a model."""
    events: list[Event] = []
    shadow = Shadow(Hooks([events.append]), share=share)
    if model is not None:
        shadow.replace(model)
    try:
        yield Stage(shadow, events)
    finally:
        shadow.close()


def test_disagreements_are_counted_and_summed_up() -> None:
    """Two of three windows have another best label; the summary names them, and both models."""
    shadow = TextModel("shadow", 0.25)
    with staged(shadow) as stage:
        stage.shadow.offer(MAIN, [answered(0, 1.0), answered(1, 0.25), answered(2, 0.75)])
        stage.wait_for(ShadowInferred, 1)
    (judged,) = stage.seen(ShadowInferred)
    assert (judged.windows, judged.differed, judged.distances) == (3, 2, (0.75, 0.0, 0.5))
    (summary,) = stage.seen(ShadowSummarised)
    assert (summary.model_sha256, summary.shadow_sha256) == (MAIN.sha256, shadow.info.sha256)
    assert [(head.head, head.windows, head.differed) for head in summary.heads] == [("mood", 3, 2)]
    assert abs(summary.heads[0].mean_distance - 1.25 / 3) < 1e-9
    assert summary.differing == (("city", 0), ("city", 2 * WINDOW_NS))


def test_each_pair_of_models_is_summed_up_apart() -> None:
    """What another model said is not mixed into the numbers of this one."""
    with staged(TextModel("one", 0.0)) as stage:
        stage.shadow.offer(MAIN, [answered(0)])
        stage.wait_for(ShadowInferred, 1)
        stage.shadow.replace(TextModel("two", 1.0))
        stage.shadow.offer(MAIN, [answered(1)])
        stage.wait_for(ShadowInferred, 2)
    one, two = stage.seen(ShadowSummarised)
    assert (one.heads[0].differed, two.heads[0].differed) == (1, 0)
    assert one.shadow_sha256 != two.shadow_sha256


def test_a_shadow_that_hangs_holds_up_nobody_and_what_goes_by_is_counted() -> None:
    """An offer never waits; two batches wait at most."""
    entered, leave = threading.Event(), threading.Event()
    model = TextModel("slow")

    def hang() -> None:
        entered.set()
        leave.wait(10)

    model.before = hang
    with staged(model) as stage:
        stage.shadow.offer(MAIN, [answered(0)])
        assert entered.wait(10)
        started = time.monotonic()
        for number in range(1, BATCHES_WAITING + 4):
            stage.shadow.offer(MAIN, [answered(number), answered(number)])
        assert time.monotonic() - started < 1
        assert [event.windows for event in stage.seen(ShadowSkipped)] == [2, 2, 2]
        leave.set()
        stage.wait_for(ShadowInferred, 1 + BATCHES_WAITING)
    assert sum(summary.skipped for summary in stage.seen(ShadowSummarised)) == 6


def test_a_shadow_works_for_its_share_of_the_time_only() -> None:
    """However much is offered: work of 10 ms at a share of a quarter is followed by 30 ms of rest."""
    model = TextModel("busy")
    spans: list[tuple[float, float]] = []

    def work() -> None:
        began = time.monotonic()
        time.sleep(0.01)
        spans.append((began, time.monotonic()))

    model.before = work
    with staged(model, share=0.25) as stage:
        while len(spans) < 5:
            stage.shadow.offer(MAIN, [answered(0)])
            time.sleep(0.001)
    rests = [after[0] - before[1] for before, after in pairwise(spans)]
    works = [end - began for began, end in spans]
    assert all(rest >= 2.9 * work for rest, work in zip(rests, works, strict=False))
    assert stage.seen(ShadowSkipped)


def test_a_shadow_that_fails_again_and_again_is_given_up_until_another_comes() -> None:
    """Its errors are told and counted, and go nowhere else."""
    model = TextModel("broken")

    def fail() -> None:
        raise RuntimeError("no such layer")

    model.before = fail
    with staged(model) as stage:
        for number in range(FAILURES_ALLOWED):
            stage.shadow.offer(MAIN, [answered(number)])
            stage.wait_for(ShadowFailed, number + 1)
        assert [event.given_up for event in stage.seen(ShadowFailed)] == [False, False, True]
        assert stage.shadow.info is None
        stage.shadow.offer(MAIN, [answered(9)])
        assert [event.windows for event in stage.seen(ShadowSkipped)] == [1]
        stage.shadow.replace(TextModel("whole"))
        stage.shadow.offer(MAIN, [answered(10)])
        stage.wait_for(ShadowInferred, 1)
    assert "no such layer" in stage.seen(ShadowFailed)[0].error
    assert stage.seen(ShadowSummarised)[0].failed == FAILURES_ALLOWED


def test_windows_that_come_before_the_shadow_go_by() -> None:
    """It is loaded while the worker already works."""
    with staged(None) as stage:
        stage.shadow.offer(MAIN, [answered(0)])
    assert [event.windows for event in stage.seen(ShadowSkipped)] == [1]
