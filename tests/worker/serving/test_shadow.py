"""A shadow model is compared with the model in service and cannot affect it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TypeVar

import numpy as np

from tests.worker.serving.models import WINDOW_NS, TextModel, prediction_of
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
    """Return a window of the stream `city` with the prediction of the model in service."""
    start_ns = number * WINDOW_NS
    return PreparedWindow(
        "city", start_ns, start_ns + WINDOW_NS, (), (), np.zeros(0, np.float32), (), ()
    ), prediction_of(glad)


class ShadowFixture:
    """A shadow and its events."""

    def __init__(self, shadow: Shadow, events: list[Event]) -> None:
        self.shadow = shadow
        self._events = events

    def seen(self, kind: type[_E]) -> list[_E]:
        """Return the events of a kind."""
        return [event for event in self._events if isinstance(event, kind)]

    def wait_for(self, kind: type[Event], count: int) -> None:
        """Wait until there are `count` events of a kind."""
        wait_until(lambda: len(self.seen(kind)) >= count)


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@contextmanager
def running(model: TextModel | None, *, share: float = 1.0) -> Iterator[ShadowFixture]:
    """Run a shadow with a model."""
    events: list[Event] = []
    shadow = Shadow(Hooks([events.append]), share=share)
    if model is not None:
        shadow.replace(model)
    try:
        yield ShadowFixture(shadow, events)
    finally:
        shadow.close()


def test_disagreements_are_counted_and_summarised() -> None:
    """Two of three windows have different top labels. The summary names them and both models."""
    shadow = TextModel("shadow", 0.25)
    with running(shadow) as fixture:
        fixture.shadow.offer(MAIN, [answered(0, 1.0), answered(1, 0.25), answered(2, 0.75)])
        fixture.wait_for(ShadowInferred, 1)
    (comparison,) = fixture.seen(ShadowInferred)
    assert (comparison.windows, comparison.differed, comparison.distances) == (3, 2, (0.75, 0.0, 0.5))
    (summary,) = fixture.seen(ShadowSummarised)
    assert (summary.model_sha256, summary.shadow_sha256) == (MAIN.sha256, shadow.info.sha256)
    assert [(head.head, head.windows, head.differed) for head in summary.heads] == [("mood", 3, 2)]
    assert abs(summary.heads[0].mean_distance - 1.25 / 3) < 1e-9
    assert summary.differing == (("city", 0), ("city", 2 * WINDOW_NS))


def test_each_pair_of_models_has_a_summary_of_its_own() -> None:
    """The predictions of two shadow models are not mixed."""
    with running(TextModel("one", 0.0)) as fixture:
        fixture.shadow.offer(MAIN, [answered(0)])
        fixture.wait_for(ShadowInferred, 1)
        fixture.shadow.replace(TextModel("two", 1.0))
        fixture.shadow.offer(MAIN, [answered(1)])
        fixture.wait_for(ShadowInferred, 2)
    one, two = fixture.seen(ShadowSummarised)
    assert (one.heads[0].differed, two.heads[0].differed) == (1, 0)
    assert one.shadow_sha256 != two.shadow_sha256


def test_a_shadow_that_hangs_blocks_nothing_and_skipped_windows_are_counted() -> None:
    """`offer` never blocks. At most two batches wait."""
    entered, leave = threading.Event(), threading.Event()
    model = TextModel("slow")

    def hang() -> None:
        entered.set()
        leave.wait(60)

    model.before = hang
    with running(model) as fixture:
        fixture.shadow.offer(MAIN, [answered(0)])
        assert entered.wait(60)
        for number in range(1, BATCHES_WAITING + 4):
            fixture.shadow.offer(MAIN, [answered(number), answered(number)])
        assert fixture.seen(ShadowInferred) == []  # it hangs still
        assert [event.windows for event in fixture.seen(ShadowSkipped)] == [2, 2, 2]
        leave.set()
        fixture.wait_for(ShadowInferred, 1 + BATCHES_WAITING)
    assert sum(summary.skipped for summary in fixture.seen(ShadowSummarised)) == 6


def test_a_shadow_uses_only_its_share_of_the_time() -> None:
    """With a share of a quarter, 10 ms of work are followed by 30 ms of sleep."""
    model = TextModel("busy")
    spans: list[tuple[float, float]] = []

    def work() -> None:
        began = time.monotonic()
        time.sleep(0.01)
        spans.append((began, time.monotonic()))

    model.before = work
    with running(model, share=0.25) as fixture:
        while len(spans) < 5 or not fixture.seen(ShadowSkipped):
            fixture.shadow.offer(MAIN, [answered(0)])
            time.sleep(0.001)
    rests = [after[0] - before[1] for before, after in pairwise(spans)]
    works = [end - began for began, end in spans]
    assert all(rest >= 2.9 * work for rest, work in zip(rests, works, strict=False))


def test_a_shadow_that_keeps_failing_is_removed_until_it_is_replaced() -> None:
    """Its errors are emitted and counted, but not raised."""
    model = TextModel("broken")

    def fail() -> None:
        raise RuntimeError("no such layer")

    model.before = fail
    with running(model) as fixture:
        for number in range(FAILURES_ALLOWED):
            fixture.shadow.offer(MAIN, [answered(number)])
            fixture.wait_for(ShadowFailed, number + 1)
        assert [event.given_up for event in fixture.seen(ShadowFailed)] == [False, False, True]
        assert fixture.shadow.info is None
        fixture.shadow.offer(MAIN, [answered(9)])
        assert [event.windows for event in fixture.seen(ShadowSkipped)] == [1]
        fixture.shadow.replace(TextModel("whole"))
        fixture.shadow.offer(MAIN, [answered(10)])
        fixture.wait_for(ShadowInferred, 1)
    assert "no such layer" in fixture.seen(ShadowFailed)[0].error
    assert fixture.seen(ShadowSummarised)[0].failed == FAILURES_ALLOWED


def test_windows_offered_before_the_shadow_is_loaded_are_skipped() -> None:
    """The shadow is loaded while the worker already runs."""
    with running(None) as fixture:
        fixture.shadow.offer(MAIN, [answered(0)])
    assert [event.windows for event in fixture.seen(ShadowSkipped)] == [1]
