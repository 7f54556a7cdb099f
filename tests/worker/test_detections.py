"""Objects from pictures to results: a worker over memory whose model has a detector without a network."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.worker.plain_detector import PlainDetector
from tests.worker.world import Feed, World, jpeg
from triptych.models.build import ModelChoice, build_model
from triptych.models.detection.detecting_model import DetectingModel
from triptych.models.null import NullModel
from triptych.schemas.errors import UsageError
from triptych.schemas.records import InputRecord
from triptych.schemas.results import Result
from triptych.settings.loading import load
from triptych.worker.errors import ModelBrokenError
from triptych.worker.observability.events import ModelFailed, ObjectsDetected, StageCompleted
from triptych.worker.wiring import model_from

MakeFeed = Callable[..., Feed]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[World, PlainDetector], None]:
    """Return a function that gives a world's workers a detector which sees two pictures."""

    def serve(world: World, detector: PlainDetector) -> None:
        world.settings = load(overrides={"model.name": "null", "batch.max_windows": 2}, environ={})
        model = DetectingModel(NullModel(world.spec), detector, pictures=2)
        monkeypatch.setattr("triptych.worker.wiring.model_from", lambda _: model)

    return serve


def in_order(world: World) -> list[Result]:
    """Return the results by window."""
    return sorted(world.results(), key=lambda result: result.start_ns)


def walk(feed: Feed) -> list[InputRecord]:
    """Return records of 40 s in which somebody walks through the picture three times, with pauses."""
    records: list[InputRecord] = []
    for at in range(160):
        step = at % 50
        shade = 30 + 6 * step if step < 34 else 0
        records += [feed.frame(at / 4, jpeg(shade)), *([feed.chunk(at / 4)] if at % 2 == 0 else [])]
    return [*records, *(feed.end(modality, 40) for modality in feed.tracks)]


def test_results_have_detections_counts_and_tracks(
    world: World, feed: MakeFeed, serve: Callable[[World, PlainDetector], None]
) -> None:
    """From every window, and counted by label. The detector's share of the time is known."""
    serve(world, PlainDetector("car"))
    world.send(feed("city").play(12))
    world.work()

    results = in_order(world)
    assert len(results) == 6
    for result in results:
        assert result.counts is not None
        assert (result.counts["car"].median, result.counts["car"].largest) == (1.0, 1)
        assert [each.track for each in result.detections] == [1, 1]
        assert result.stage_ms["detect"] <= result.stage_ms["infer"]
    assert [result.counts["car"].entered for result in results if result.counts] == [1, 0, 0, 0, 0, 0]
    assert sum(event.labels["car"] for event in world.seen(ObjectsDetected)) == 12
    assert "detect" in {event.stage for event in world.seen(StageCompleted)}


def test_a_worker_that_restarts_gives_the_same_tracks(
    world: World, feed: MakeFeed, serve: Callable[[World, PlainDetector], None]
) -> None:
    """It restores them from the results topic, wherever it stopped."""
    serve(world, PlainDetector())
    records = walk(feed("city"))
    world.send(records)
    world.work()
    restarted = World()
    serve(restarted, PlainDetector())
    for first in range(0, len(records), 50):
        restarted.send(records[first : first + 50])
        restarted.work_some(10)
    restarted.work()

    def tracks(of: World) -> list[tuple[str, object, object]]:
        return [(result.id, result.detections, result.counts) for result in in_order(of)]

    assert tracks(restarted) == tracks(world)
    last = in_order(world)[-1].counts
    assert last is not None
    assert last["person"].passages == 3


def test_a_failing_detector_costs_one_window_its_detections(
    world: World, feed: MakeFeed, serve: Callable[[World, PlainDetector], None]
) -> None:
    """Its prediction is published, and the failure is reported as one of the model."""
    serve(world, PlainDetector(raises_at_shade=250))
    world.send(feed("city").play(8))
    white = Feed("port", tracks=("video",))
    world.send([white.frame(0, jpeg(250)), white.frame(1, jpeg(250)), white.end("video", 2)])
    world.work()

    failed = [result for result in world.results() if result.stream == "port"]
    assert [result.counts for result in failed] == [None]
    assert failed[0].modalities.video.used == 2
    assert all(result.counts for result in world.results() if result.stream == "city")
    (event,) = world.seen(ModelFailed)
    assert (event.stream, "fails at shade 250" in event.error) == ("port", True)


def test_a_broken_detector_stops_the_worker(world: World, serve: Callable[[World, PlainDetector], None]) -> None:
    """As a broken model does: nothing of the batch is published."""
    serve(world, PlainDetector(raises_at_shade=250, is_broken=True))
    white = Feed("port", tracks=("video",))
    world.send([white.frame(0, jpeg(250)), white.end("video", 2)])
    with pytest.raises(ModelBrokenError, match="the detector is broken"):
        world.work()
    assert world.results() == []


def test_settings_choose_the_detector() -> None:
    """The null model has none; an unknown name is refused."""
    settings = load(overrides={"model.name": "null", "model.detector": "auto"}, environ={})
    assert model_from(settings).spec.detection is None
    with pytest.raises(
        UsageError, match=r"no detector is called 'yolo'; there are: auto, off, or the source .*\(model.detector\)"
    ):
        build_model(ModelChoice("null", frames=1, window_ns=1, detector="yolo"))
