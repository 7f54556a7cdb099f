"""Another model while the worker runs: taken at a signal or a change, refused where it is bad."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.worker.serving.models import SPEC, WINDOW_NS, TextModel, read_model
from triptych.models.model import Model, ModelInfo
from triptych.service.signals import ReloadSignal
from triptych.worker.observability.events import Event, ModelRefused, ModelSwapped, ModelUnchanged
from triptych.worker.observability.hooks import Hooks
from triptych.worker.serving.candidate import make_ready
from triptych.worker.serving.files import WatchedFiles
from triptych.worker.serving.reloader import ModelSlot, Reloader

WATCH_S = 0.02


class CountedFiles(WatchedFiles):
    """Counts how often it was looked."""

    looks = 0

    def has_settled_anew(self) -> bool:
        """Count it."""
        CountedFiles.looks += 1
        return super().has_settled_anew()


class Desk:
    """A place whose model comes from a file, and a bell."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reload_signal = ReloadSignal()
        self.events: list[Event] = []
        self.model: Model | None = None
        self.built: list[weakref.ref[Model]] = []
        self.most_alive = 0

    def build(self) -> Model:
        """Read the file, and remember how many models are alive."""
        model = read_model(self.path)
        self.built.append(weakref.ref(model))
        self.most_alive = max(self.most_alive, sum(ref() is not None for ref in self.built))
        return model

    def info(self) -> ModelInfo | None:
        """Name what is in service."""
        return None if self.model is None else self.model.info

    def put(self, model: Model) -> None:
        """Take it into service."""
        self.model = model

    @contextmanager
    def open(self, watch_s: float | None = None) -> Iterator[None]:
        """Watch the place."""
        files = CountedFiles((self.path,))
        ready = partial(make_ready, spec=SPEC, window_ns=WINDOW_NS)
        place = ModelSlot("model", str(self.path), files, self.build, ready, self.info, self.put)
        with closing(Reloader([place], self.reload_signal, watch_s=watch_s, hooks=Hooks([self.events.append]))):
            self.wait_for(1)
            yield

    def wait_for(self, events: int) -> None:
        """Return when so many things have happened."""
        wait_until(lambda: len(self.events) >= events)

    def write(self, text: str) -> None:
        """Put another file in the place, whole."""
        part = self.path.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        part.replace(self.path)


def wait_until(true: Callable[[], bool]) -> None:
    """Return when it holds."""
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Return a place with a first model to come."""
    made = Desk(tmp_path / "model.txt")
    made.write("first 1")
    return made


def name_of(desk: Desk) -> str:
    """Return what is in service."""
    assert desk.model is not None
    return desk.model.info.name


def test_a_place_without_a_model_gets_its_first_one_at_once(desk: Desk) -> None:
    """Nothing came before it."""
    with desk.open():
        (event,) = desk.events
    assert isinstance(event, ModelSwapped)
    assert (event.name, event.before) == ("first", None)


def test_a_signal_takes_what_the_file_holds_now(desk: Desk) -> None:
    """Without watching at all; the event names what was before."""
    with desk.open(watch_s=None):
        desk.write("second 1")
        desk.reload_signal.send()
        desk.wait_for(2)
        event = desk.events[-1]
    assert isinstance(event, ModelSwapped)
    assert event.before == TextModel("first").info.sha256
    assert name_of(desk) == "second"


def test_a_changed_file_is_taken_without_a_signal(desk: Desk) -> None:
    """And never more than one model beside the one in service is alive."""
    with desk.open(WATCH_S):
        for number in range(2, 6):
            desk.write(f"model-{number} 1")
            desk.wait_for(number)
    assert name_of(desk) == "model-5"
    assert {type(event) for event in desk.events} == {ModelSwapped}
    assert desk.most_alive == 2
    assert [ref() is not None for ref in desk.built] == [False] * 4 + [True]


@pytest.mark.parametrize("text", ["second 1", "bad"])
def test_what_was_read_once_is_not_read_again(desk: Desk, text: str) -> None:
    """Good or bad: a bad file is one line in the log, not one with each look."""
    with desk.open(WATCH_S):
        desk.write(text)
        desk.wait_for(2)
        looks = CountedFiles.looks
        wait_until(lambda: CountedFiles.looks >= looks + 5)
        assert len(desk.events) == 2


@pytest.mark.parametrize("bad", ["", "second", "second nan", "second text"])
def test_a_bad_file_is_refused_once_and_the_old_model_goes_on(desk: Desk, bad: str) -> None:
    """The reason is told; a good file is taken afterwards."""
    with desk.open(WATCH_S):
        desk.write(bad)
        desk.wait_for(2)
        assert name_of(desk) == "first"
        desk.write("third 1")
        desk.wait_for(3)
    refused, swapped = desk.events[1:]
    assert isinstance(refused, ModelRefused)
    assert refused.reason
    assert isinstance(swapped, ModelSwapped)
    assert name_of(desk) == "third"


def test_the_same_model_again_is_no_swap(desk: Desk) -> None:
    """A signal is answered all the same."""
    with desk.open():
        before = desk.model
        desk.reload_signal.send()
        desk.wait_for(2)
        assert isinstance(desk.events[-1], ModelUnchanged)
        assert desk.model is before


def test_closing_does_not_wait_for_a_model_that_is_still_read(desk: Desk) -> None:
    """It is left behind, and nobody is told that it failed."""
    entered, leave = threading.Event(), threading.Event()
    build: Callable[[], Model] = desk.build

    def slow() -> Model:
        entered.set()
        leave.wait(10)
        return build()

    files = WatchedFiles((desk.path,))
    place = ModelSlot("model", "x", files, slow, lambda _: None, desk.info, desk.put)
    reloader = Reloader(
        [place], desk.reload_signal, watch_s=None, hooks=Hooks([desk.events.append]), close_limit_s=0.05
    )
    assert entered.wait(10)
    started = time.monotonic()
    reloader.close()
    assert time.monotonic() - started < 5
    leave.set()
