"""Which windows the batch stage passes to the model together, and when."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from triptych.units import NS_PER_MS, NS_PER_S
from triptych.worker.inference.batch_stage import BatchStage
from triptych.worker.inference.batcher import MicroBatcher
from triptych.worker.inference.jobs import WindowJob
from triptych.worker.publishing.window_times import WindowTimes

LIMIT_S = 60.0
LONG_NS = 3_600 * NS_PER_S


def job(stream: str, *, prepared: bool = True) -> WindowJob:
    """Return a window of a stream. The stage needs nothing else of it."""
    preparation: Future[Any] = Future()
    if prepared:
        preparation.set_result(None)
    other = cast("Any", None)
    return WindowJob(other, cast("Any", SimpleNamespace(stream=stream)), other, other, preparation, WindowTimes())


class Model:
    """Notes the streams of each batch. While it is held, it does not answer."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.errors: list[BaseException] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._called = threading.Condition()

    def infer(self, batch: Sequence[WindowJob]) -> None:
        """Note a batch."""
        with self._called:
            self.batches.append([each.window.stream for each in batch])
            self._called.notify_all()
        assert self.may_answer.wait(LIMIT_S)

    def fail(self, error: BaseException) -> None:
        """Note an error of the stage."""
        with self._called:
            self.errors.append(error)
            self._called.notify_all()

    def wait_for(self, batches: int, errors: int = 0) -> None:
        """Wait until so many batches have begun."""
        with self._called:
            assert self._called.wait_for(lambda: (len(self.batches), len(self.errors)) >= (batches, errors), LIMIT_S)


@contextmanager
def stage(model: Model, *, max_windows: int = 4, max_delay_ns: int = 0) -> Iterator[BatchStage]:
    """Open a stage."""
    batcher = MicroBatcher[WindowJob](max_windows=max_windows, max_delay_ns=max_delay_ns)
    opened = BatchStage(batcher, model.infer, model.fail)
    try:
        yield opened
    finally:
        model.may_answer.set()
        opened.close()


def test_what_is_prepared_while_the_model_runs_fills_the_next_batch() -> None:
    """Batches grow with the load."""
    model = Model()
    model.may_answer.clear()
    with stage(model) as batches:
        batches.add(job("a"))
        model.wait_for(1)
        for name in "bcdef":
            batches.add(job(name))
        model.may_answer.set()
        model.wait_for(3)

    assert model.batches == [["a"], ["b", "c", "d", "e"], ["f"]]


def test_a_window_waits_for_those_before_it() -> None:
    """The windows of a stream keep their order, whichever is prepared first. A finished preparation wakes the stage."""
    model = Model()
    first, second = job("a", prepared=False), job("b")
    with stage(model, max_delay_ns=LONG_NS, max_windows=2) as batches:
        batches.add(first)
        batches.add(second)
        assert model.batches == []
        first.preparation.set_result(cast("Any", None))
        model.wait_for(1)

    assert model.batches == [["a", "b"]]


@pytest.mark.parametrize("max_delay_ns", [0, 20 * NS_PER_MS])
def test_a_batch_that_is_not_full_is_passed_on_when_it_is_due(max_delay_ns: int) -> None:
    """Nobody has to ask for it."""
    model = Model()
    with stage(model, max_delay_ns=max_delay_ns) as batches:
        batches.add(job("a"))
        model.wait_for(1)

    assert model.batches == [["a"]]


def test_a_flush_passes_on_what_is_prepared() -> None:
    """It waits for no other window, but for those that are being prepared already."""
    model = Model()
    last = job("b", prepared=False)
    with stage(model, max_delay_ns=LONG_NS) as batches:
        batches.add(job("a"))
        batches.add(last)
        batches.flush(enabled=True)
        last.preparation.set_result(cast("Any", None))
        model.wait_for(1)

    assert model.batches == [["a", "b"]]


def fail() -> None:
    """Raise an error."""
    raise ZeroDivisionError


def test_calls_run_between_batches() -> None:
    """On the thread of the model. Their errors belong to the caller; after the end they are cancelled."""
    model = Model()
    with stage(model) as batches:
        names = [threading.current_thread().name]
        batches.between_batches(lambda: names.append(threading.current_thread().name)).result(LIMIT_S)
        failing = batches.between_batches(fail)
        with pytest.raises(ZeroDivisionError):
            failing.result(LIMIT_S)
        batches.add(job("a"))
        model.wait_for(1)

    assert names[1] == "infer"
    with pytest.raises(CancelledError):
        batches.between_batches(lambda: None).result(LIMIT_S)


def test_an_error_of_the_stage_is_reported() -> None:
    """Not lost with the thread."""
    model = Model()
    broken = job("a")
    broken.window = cast("Any", None)
    with stage(model) as batches:
        batches.add(broken)
        model.wait_for(0, errors=1)

    assert isinstance(model.errors[0], AttributeError)
