"""A worker whose model is replaced at runtime, and a worker with a shadow model, in memory."""

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
def model_file(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the world read its models from a text file, and reload them on a signal. Return the file."""
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


def step_until(worker: Pipeline, holds: Callable[[], bool]) -> None:
    """Run iterations of the loop until the condition holds."""
    deadline = time.monotonic() + 60
    while not holds():
        worker.step()
        assert time.monotonic() < deadline


def published(world: World) -> int:
    """Return the number of results published so far; batches may be published together."""
    return sum(event.results for event in world.seen(ResultsPublished))


def test_results_name_the_new_model_after_the_swap(
    world: World, feed: MakeFeed, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No result is lost, polling continues meanwhile, and the old model is released."""
    built: list[weakref.ref[Model]] = []

    def build(settings: Settings) -> Model:
        model = read_model(Path(settings.model.name))
        built.append(weakref.ref(model))
        return model

    monkeypatch.setattr("triptych.worker.wiring.model_from", build)
    assert world.reload_signal is not None
    with world.open() as worker:
        world.send(feed("city").play(6))
        step_until(worker, lambda: published(world) == 3)
        model_file.write_text("second 0.25")
        world.reload_signal.send()
        step_until(worker, lambda: bool(world.seen(ModelSwapped)))
        assert [ref() is not None for ref in built] == [False, True]
        world.send(feed("port", start_s=20).play(6))
        step_until(worker, lambda: published(world) == 6)

    results = {result.id: result for result in world.results()}
    assert len(results) == len(world.results()) == 6
    assert {result.model.name for result in results.values() if result.stream == "city"} == {"first"}
    after = [result for result in results.values() if result.stream == "port"]
    assert {(result.model.name, result.model.sha256) for result in after} == {
        ("second", TextModel("second").info.sha256)
    }
    assert {result.predictions["mood"][0].label for result in after} == {"sad"}


def test_a_swap_waits_for_the_running_batch(world: World, feed: MakeFeed, model_file: Path) -> None:
    """Windows that the old model was given get its output. The loop continues meanwhile."""
    assert world.reload_signal is not None
    with world.open() as worker:
        world.send(feed("city").play(2))
        step_until(worker, lambda: published(world) == 1)
        model_file.write_text("second 1")
        world.reload_signal.send()
        world.send(feed("port", start_s=20).play(20))
        step_until(worker, lambda: published(world) == 11)
        step_until(worker, lambda: bool(world.seen(ModelSwapped)))
    port = sorted((result for result in world.results() if result.stream == "port"), key=lambda r: r.start_ns)
    names = [result.model.name for result in port]
    assert names == sorted(names)  # "first", then "second": one swap, between two batches
    assert len(port) == 10


def test_a_bad_file_is_rejected_and_the_worker_continues(world: World, feed: MakeFeed, model_file: Path) -> None:
    """With the model in service."""
    assert world.reload_signal is not None
    with world.open() as worker:
        model_file.write_text("half")
        world.reload_signal.send()
        step_until(worker, lambda: bool(world.seen(ModelRefused)))
        world.send(feed("city").play(4))
        step_until(worker, lambda: published(world) == 2)
    assert {result.model.name for result in world.results()} == {"first"}
    assert not world.seen(ModelSwapped)


class _FailingModel(TextModel):
    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        """Fail on every window but those of the warm-up."""
        if windows[0].stream != "warm":
            raise RuntimeError("no such layer")
        return super().predict(windows)


@pytest.mark.parametrize("failing", [False, True], ids=["differs", "fails"])
def test_a_shadow_does_not_change_the_results(
    world: World,
    feed: MakeFeed,
    model_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: bool,  # noqa: FBT001 - the case
) -> None:
    """Whether it differs on every window or fails on all of them."""
    model = world.settings.model.model_copy(
        update={"shadow": str(model_file.parent / "other.json"), "shadow_share": 1.0}
    )
    world.settings = world.settings.model_copy(update={"model": model})
    shadow = _FailingModel("other", 0.0) if failing else TextModel("other", 0.0)

    def build(settings: Settings) -> Model:
        return read_model(model_file) if settings.model.name == str(model_file) else shadow

    monkeypatch.setattr("triptych.worker.wiring.model_from", build)
    with world.open() as worker:
        step_until(worker, lambda: bool(world.seen(ModelSwapped)))
        world.send(feed("city").play(6))
        expected = ShadowFailed if failing else ShadowInferred
        step_until(worker, lambda: published(world) == 3 and bool(world.seen(expected)))
    assert {(r.model.name, r.predictions["mood"][0].label) for r in world.results()} == {("first", "glad")}
    assert world.seen(ModelSwapped)[0].role == "shadow"
    assert not world.seen(ModelFailed)
    assert all(event.differed == event.windows for event in world.seen(ShadowInferred))
