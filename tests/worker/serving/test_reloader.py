"""Reloading models on a signal or a change of their files."""

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
    """Counts the checks."""

    checks = 0

    def has_changed(self) -> bool:
        """Count the check."""
        CountedFiles.checks += 1
        return super().has_changed()


class SlotFixture:
    """A model slot that loads from a file, and its reload signal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reload_signal = ReloadSignal()
        self.events: list[Event] = []
        self.model: Model | None = None
        self.built: list[weakref.ref[Model]] = []
        self.most_alive = 0

    def build(self) -> Model:
        """Load the file, and record how many models are alive."""
        model = read_model(self.path)
        self.built.append(weakref.ref(model))
        self.most_alive = max(self.most_alive, sum(ref() is not None for ref in self.built))
        return model

    def info(self) -> ModelInfo | None:
        """Return the identity of the model in service."""
        return None if self.model is None else self.model.info

    def put(self, model: Model) -> None:
        """Put a model into service."""
        self.model = model

    @contextmanager
    def open(self, watch_s: float | None = None) -> Iterator[None]:
        """Run a reloader for the slot. Wait for the first model."""
        files = CountedFiles((self.path,))
        ready = partial(make_ready, spec=SPEC, window_ns=WINDOW_NS)
        slot = ModelSlot("model", str(self.path), files, self.build, ready, self.info, self.put)
        with closing(Reloader([slot], self.reload_signal, watch_s=watch_s, hooks=Hooks([self.events.append]))):
            self.wait_for(1)
            yield

    def wait_for(self, events: int) -> None:
        """Wait until there are `events` events."""
        wait_until(lambda: len(self.events) >= events)

    def write(self, text: str) -> None:
        """Replace the file atomically."""
        part = self.path.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        part.replace(self.path)


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture
def fixture(tmp_path: Path) -> SlotFixture:
    """Return a slot whose file has a first model."""
    made = SlotFixture(tmp_path / "model.txt")
    made.write("first 1")
    return made


def name_of(fixture: SlotFixture) -> str:
    """Return the name of the model in service."""
    assert fixture.model is not None
    return fixture.model.info.name


def test_an_empty_slot_gets_its_first_model_at_once(fixture: SlotFixture) -> None:
    """The event has no previous model."""
    with fixture.open():
        (event,) = fixture.events
    assert isinstance(event, ModelSwapped)
    assert (event.name, event.before) == ("first", None)


def test_a_signal_reloads_the_file(fixture: SlotFixture) -> None:
    """Also if files are not watched. The event names the previous model."""
    with fixture.open(watch_s=None):
        fixture.write("second 1")
        fixture.reload_signal.send()
        fixture.wait_for(2)
        event = fixture.events[-1]
    assert isinstance(event, ModelSwapped)
    assert event.before == TextModel("first").info.sha256
    assert name_of(fixture) == "second"


def test_a_changed_file_is_loaded_without_a_signal(fixture: SlotFixture) -> None:
    """At most one model besides the one in service is in memory."""
    with fixture.open(WATCH_S):
        for number in range(2, 6):
            fixture.write(f"model-{number} 1")
            fixture.wait_for(number)
    assert name_of(fixture) == "model-5"
    assert {type(event) for event in fixture.events} == {ModelSwapped}
    assert fixture.most_alive == 2
    assert [ref() is not None for ref in fixture.built] == [False] * 4 + [True]


@pytest.mark.parametrize("text", ["second 1", "bad"])
def test_a_file_is_loaded_only_once(fixture: SlotFixture, text: str) -> None:
    """A bad file too: it is logged once, not at each check."""
    with fixture.open(WATCH_S):
        fixture.write(text)
        fixture.wait_for(2)
        checks = CountedFiles.checks
        wait_until(lambda: CountedFiles.checks >= checks + 5)
        assert len(fixture.events) == 2


@pytest.mark.parametrize("bad", ["", "second", "second nan", "second text"])
def test_a_bad_file_is_rejected_once_and_the_old_model_stays(fixture: SlotFixture, bad: str) -> None:
    """The event has the reason. A good file is loaded afterwards."""
    with fixture.open(WATCH_S):
        fixture.write(bad)
        fixture.wait_for(2)
        assert name_of(fixture) == "first"
        fixture.write("third 1")
        fixture.wait_for(3)
    refused, swapped = fixture.events[1:]
    assert isinstance(refused, ModelRefused)
    assert refused.reason
    assert isinstance(swapped, ModelSwapped)
    assert name_of(fixture) == "third"


def test_reloading_the_same_model_changes_nothing(fixture: SlotFixture) -> None:
    """The signal still causes an event."""
    with fixture.open():
        before = fixture.model
        fixture.reload_signal.send()
        fixture.wait_for(2)
        assert isinstance(fixture.events[-1], ModelUnchanged)
        assert fixture.model is before


def test_close_does_not_wait_for_a_model_that_is_being_loaded(fixture: SlotFixture) -> None:
    """The thread is abandoned, and no event is emitted."""
    entered, leave = threading.Event(), threading.Event()
    build: Callable[[], Model] = fixture.build

    def slow() -> Model:
        entered.set()
        leave.wait(60)
        return build()

    files = WatchedFiles((fixture.path,))
    slot = ModelSlot("model", "x", files, slow, lambda _: None, fixture.info, fixture.put)
    reloader = Reloader(
        [slot], fixture.reload_signal, watch_s=None, hooks=Hooks([fixture.events.append]), close_limit_s=0.05
    )
    assert entered.wait(60)
    reloader.close()
    assert fixture.built == []  # it returned while the model was being loaded
    leave.set()
