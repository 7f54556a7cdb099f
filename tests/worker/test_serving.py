"""A worker whose model is replaced while it runs, and one with a shadow; over memory."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.worker.serving.models import TextModel, read_model
from tests.worker.world import Feed, World
from triptych.models.model import Model
from triptych.models.prediction import WindowPrediction
from triptych.models.window import PreparedWindow
from triptych.service.signals import ReloadSignal
from triptych.settings.loading import load
from triptych.settings.tree import Settings
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics
from triptych.worker.observability.events import (
    ModelFailed,
    ModelRefused,
    ModelSwapped,
    ResultsPublished,
    ShadowFailed,
    ShadowInferred,
)
from triptych.worker.pipeline import Pipeline

MakeFeed = Callable[..., Feed]


@pytest.fixture
def desk(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the world's models be read from lines of text, and hear a bell; return the model's file."""
    path = tmp_path / "model.json"
    path.write_text("first 1")
    world.reload_signal = ReloadSignal()
    create_topics(world.transport.admin(), world.settings.pipeline, TopicSettings("", max_record_bytes=1 << 20))
    world.settings = load(
        overrides={"model.name": str(path), "batch.max_delay_ms": 0, "batch.max_windows": 1, "model.watch_ms": 0},
        environ={},
    )
    monkeypatch.setattr("triptych.worker.wiring.model_from", lambda settings: read_model(Path(settings.model.name)))
    return path


def turn_until(worker: Pipeline, true: Callable[[], bool]) -> None:
    """Let the worker go on until it holds."""
    deadline = time.monotonic() + 20
    while not true():
        worker.step()
        assert time.monotonic() < deadline


def test_results_name_the_new_model_from_the_swap_on_and_none_is_lost(
    world: World, feed: MakeFeed, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it the old one; the poll goes on meanwhile, and the old model is gone."""
    made: list[weakref.ref[Model]] = []

    def build(settings: Settings) -> Model:
        model = read_model(Path(settings.model.name))
        made.append(weakref.ref(model))
        return model

    monkeypatch.setattr("triptych.worker.wiring.model_from", build)
    assert world.reload_signal is not None
    with world.open() as worker:
        world.send(feed("city").play(6))
        turn_until(worker, lambda: len(world.seen(ResultsPublished)) == 3)
        desk.write_text("second 0.25")
        world.reload_signal.send()
        turn_until(worker, lambda: bool(world.seen(ModelSwapped)))
        assert [ref() is not None for ref in made] == [False, True]
        world.send(feed("port", start_s=20).play(6))
        turn_until(worker, lambda: len(world.seen(ResultsPublished)) == 6)

    results = {result.id: result for result in world.results()}
    assert len(results) == len(world.results()) == 6
    assert {result.model.name for result in results.values() if result.stream == "city"} == {"first"}
    after = [result for result in results.values() if result.stream == "port"]
    assert {(result.model.name, result.model.sha256) for result in after} == {
        ("second", TextModel("second").info.sha256)
    }
    assert {result.predictions["mood"][0].label for result in after} == {"sad"}


def test_a_swap_waits_for_the_batch_that_runs(world: World, feed: MakeFeed, desk: Path) -> None:
    """Windows that the old model was given are its own, while the loop goes on turning."""
    assert world.reload_signal is not None
    with world.open() as worker:
        world.send(feed("city").play(2))
        turn_until(worker, lambda: len(world.seen(ResultsPublished)) == 1)
        desk.write_text("second 1")
        world.reload_signal.send()
        world.send(feed("port", start_s=20).play(20))
        turn_until(worker, lambda: len(world.seen(ResultsPublished)) == 11)
        turn_until(worker, lambda: bool(world.seen(ModelSwapped)))
    port = sorted((result for result in world.results() if result.stream == "port"), key=lambda r: r.start_ns)
    names = [result.model.name for result in port]
    assert names == sorted(names)  # "first" … "second": once, between two batches
    assert len(port) == 10


def test_a_bad_file_is_refused_and_the_worker_goes_on(world: World, feed: MakeFeed, desk: Path) -> None:
    """With the model that it has."""
    assert world.reload_signal is not None
    with world.open() as worker:
        desk.write_text("half")
        world.reload_signal.send()
        turn_until(worker, lambda: bool(world.seen(ModelRefused)))
        world.send(feed("city").play(4))
        turn_until(worker, lambda: len(world.seen(ResultsPublished)) == 2)
    assert {result.model.name for result in world.results()} == {"first"}
    assert not world.seen(ModelSwapped)


class _Failing(TextModel):
    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        """Fail on all that is real."""
        if windows[0].stream != "warm":
            raise RuntimeError("no such layer")
        return super().predict(windows)


@pytest.mark.parametrize("failing", [False, True], ids=["differs", "fails"])
def test_a_shadow_changes_nothing_of_what_is_published(
    world: World,
    feed: MakeFeed,
    desk: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: bool,  # noqa: FBT001 - the case
) -> None:
    """Whether it differs in every window or fails on all of them."""
    model = world.settings.model.model_copy(update={"shadow": str(desk.parent / "other.json"), "shadow_share": 1.0})
    world.settings = world.settings.model_copy(update={"model": model})
    shadow = _Failing("other", 0.0) if failing else TextModel("other", 0.0)

    def build(settings: Settings) -> Model:
        return read_model(desk) if settings.model.name == str(desk) else shadow

    monkeypatch.setattr("triptych.worker.wiring.model_from", build)
    with world.open() as worker:
        turn_until(worker, lambda: bool(world.seen(ModelSwapped)))
        world.send(feed("city").play(6))
        told = ShadowFailed if failing else ShadowInferred
        turn_until(worker, lambda: len(world.seen(ResultsPublished)) == 3 and bool(world.seen(told)))
    assert {(r.model.name, r.predictions["mood"][0].label) for r in world.results()} == {("first", "glad")}
    assert world.seen(ModelSwapped)[0].role == "shadow"
    assert not world.seen(ModelFailed)
    assert all(event.differed == event.windows for event in world.seen(ShadowInferred))
