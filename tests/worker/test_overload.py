"""What the worker sheds when it cannot keep up, and that it recovers by itself."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.worker.plain_detector import PlainDetector
from tests.worker.world import Feed, World
from triptych.cli import app
from triptych.models.detection.detecting_model import DetectingModel
from triptych.models.detection.detector import Detector
from triptych.models.model import InputSpec, Model
from triptych.models.null import NullModel
from triptych.models.prediction import PredictedLabel, WindowPrediction
from triptych.models.window import PreparedWindow
from triptych.schemas.errors import UsageError
from triptych.schemas.results import Result, Shed
from triptych.settings.loading import load
from triptych.transport.memory.group_consumer import MemoryGroupConsumer
from triptych.transport.records import Poll
from triptych.worker.inference.stages import Stages
from triptych.worker.observability.events import ItemsShed, OverloadLevelChanged
from triptych.worker.overload import Effort, Overload, Policy, Published, ladder_of
from triptych.worker.pipeline import Pipeline

MS = 1_000_000
LIMIT_NS = 1_000 * MS
MakeFeed = Callable[..., Feed]


# --- the ladder, in simulated time ------------------------------------------------------------------------------------


def test_the_ladder_sheds_frames_first_then_the_model() -> None:
    """`wait` has one rung, `degrade` halves the frames down to none, and `skip` adds a rung without the model."""
    assert ladder_of("wait", 4) == (Effort(4),)
    assert ladder_of("degrade", 4) == (Effort(4), Effort(2), Effort(1), Effort(0))
    assert ladder_of("skip", 5) == (Effort(5), Effort(2), Effort(1), Effort(0), Effort(0, asks_model=False))


def test_detection_is_shed_before_any_frame() -> None:
    """The first rung drops all pictures for detectors; the others are the same as without a detector."""
    assert ladder_of("wait", 4, 2) == (Effort(4, pictures=2),)
    for policy in ("degrade", "skip"):
        assert ladder_of(policy, 4, 2) == (Effort(4, pictures=2), *ladder_of(policy, 4))


@dataclass
class Simulated:
    """A worker that takes `cost_ms` for each window. Windows close ten times a second."""

    overload: Overload
    cost_ms: Callable[[Effort], float]
    now_ns: int = 0
    next_ns: int = 0
    efforts: Counter[Effort] = field(default_factory=Counter)

    def run(self, seconds: float, *, every_ms: int = 100) -> None:
        """Publish the windows that close in this time."""
        self.efforts = Counter()
        until_ns = self.now_ns + round(seconds * 1e9)
        while self.now_ns < until_ns:
            if self.next_ns > self.now_ns:
                self.overload.idle(self.now_ns)
                self.now_ns = self.next_ns
            effort = self.overload.effort
            self.now_ns += round(self.cost_ms(effort) * MS)
            lag_ns = self.now_ns - self.next_ns
            self.efforts[effort] += 1
            self.overload.published(Published(effort, lag_ns, lag_ns > 4 * every_ms * MS), self.now_ns)
            self.next_ns += every_ms * MS

    @property
    def lag_ns(self) -> int:
        """The lag of the next window."""
        return self.now_ns - self.next_ns


def test_no_more_is_shed_than_necessary() -> None:
    """A model that keeps up with half the frames gets half or all of them, and the lag stays bounded."""
    world = Simulated(Overload(ladder_of("skip", 4), limit_ns=LIMIT_NS), lambda effort: 20 + 25 * effort.frames)

    world.run(120)

    assert set(world.efforts) == {Effort(4), Effort(2)}
    assert world.lag_ns < 2 * LIMIT_NS


def test_skipping_the_model_always_bounds_the_lag() -> None:
    """A model that never keeps up runs now and then, and the lag stays bounded. With `degrade` it does not."""
    stuck = Simulated(Overload(ladder_of("degrade", 4), limit_ns=LIMIT_NS), lambda _: 150)
    skipping = Simulated(Overload(ladder_of("skip", 4), limit_ns=LIMIT_NS), lambda effort: 150 * effort.asks_model)

    stuck.run(60)
    skipping.run(60)

    assert stuck.lag_ns > 10 * LIMIT_NS
    assert skipping.lag_ns < 5 * LIMIT_NS
    assert skipping.efforts[Effort(0, asks_model=False)] > 0
    assert sum(count for effort, count in skipping.efforts.items() if effort.asks_model) > 200


def test_a_shrinking_backlog_is_no_overload() -> None:
    """A worker that restarts after an hour and is faster than its feeds sheds nothing."""
    world = Simulated(Overload(ladder_of("skip", 4), limit_ns=LIMIT_NS), lambda _: 50, now_ns=3_600 * 10**9)

    world.run(1_000)

    assert set(world.efforts) == {Effort(4)}


def test_a_bottleneck_before_the_model_is_no_overload() -> None:
    """If windows are late but the stages are not full, less work for the model would not help."""
    overload = Overload(ladder_of("skip", 4), limit_ns=LIMIT_NS)

    changes = [
        overload.published(Published(Effort(4), at * LIMIT_NS, was_full=False), at * LIMIT_NS) for at in range(100)
    ]

    assert not any(changes)


def test_an_outage_sheds_nothing() -> None:
    """Nothing is published for a minute, then everything quickly: the lag jumps up and falls."""
    overload = Overload(ladder_of("skip", 4), limit_ns=LIMIT_NS)
    for at in range(60):
        overload.published(Published(Effort(4), 100 * MS, was_full=False), at * 100 * MS)

    for at in range(60):
        now_ns = (66 + at) * LIMIT_NS
        overload.published(Published(Effort(4), (60 - at) * LIMIT_NS, was_full=True), now_ns)

    assert overload.rung == 0


def test_only_windows_of_the_current_effort_count() -> None:
    """Windows in flight when the effort changed do not show the effect of the change."""
    overload = Overload(ladder_of("degrade", 4), limit_ns=LIMIT_NS)
    at_ns = 0
    while overload.rung == 0:
        overload.published(Published(Effort(4), 5 * LIMIT_NS, was_full=True), at_ns)
        at_ns += 100 * MS

    for _ in range(1_000):
        at_ns += 100 * MS
        assert not overload.published(Published(Effort(4), 5 * LIMIT_NS, was_full=True), at_ns)

    assert overload.effort == Effort(2)


@settings(max_examples=100)
@given(
    policy=st.sampled_from(["wait", "degrade", "skip"]),
    lags=st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 2_000), st.booleans(), st.booleans()), max_size=200),
)
def test_a_recovered_worker_returns_to_the_full_effort(policy: Policy, lags: list[tuple[int, int, bool, bool]]) -> None:
    """The effort never leaves the ladder, changes by one rung at a time, and is full again after some idle periods."""
    overload, now_ns = Overload(ladder_of(policy, 8), limit_ns=LIMIT_NS), 0
    for lag_ms, passed_ms, was_full, is_current in lags:
        before, effort = overload.rung, overload.effort if is_current else Effort(3)
        now_ns += passed_ms * MS
        changed = overload.published(Published(effort, lag_ms * MS, was_full), now_ns)
        assert abs(overload.rung - before) == changed

    for at in range(20):
        overload.idle(now_ns + at * LIMIT_NS // 4)

    assert overload.rung == 0
    assert overload.effort == Effort(8)


# --- a worker with a slow model ---------------------------------------------------------------------------------------


class SlowModel(NullModel):
    """Takes a given time for each window and for each frame, and predicts a label."""

    window_s = 0.0
    frame_s = 0.0

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        """Predict, after a delay."""
        frames = sum(len(window.frames_hwc_u8) for window in windows)
        time.sleep(self.window_s * len(windows) + self.frame_s * frames)
        return [WindowPrediction(visual=(PredictedLabel("slow", 1.0),), words=window.cues) for window in windows]


@contextmanager
def open_with_slow_model(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    policy: Policy,
    *,
    window_s: float,
    frame_s: float,
    detector: Detector | None = None,
) -> Iterator[tuple[Pipeline, SlowModel]]:
    """Open a worker with a slow model, perhaps with a detector that sees two pictures, and a lag limit of 120 ms."""
    overrides = {
        "model.name": "null",
        "batch.max_windows": 1,
        "batch.max_delay_ms": 0,
        "worker.overload": policy,
        "worker.overload_limit_ms": 120,
    }
    world.settings = load(overrides=overrides, environ={})
    model = SlowModel(world.spec)
    model.window_s, model.frame_s = window_s, frame_s
    served: Model = model if detector is None else DetectingModel(model, detector, pictures=2)
    monkeypatch.setattr("triptych.worker.wiring.model_from", lambda _: served)
    with world.open() as pipeline:
        yield pipeline, model


def step_until(pipeline: Pipeline, holds: Callable[[], bool], limit_s: float = 30.0) -> None:
    """Run iterations of the loop until the condition holds."""
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, "the condition never held"
        pipeline.step()


def by_start(world: World, stream: str) -> list[Result]:
    """Return the results of a stream in the order of their windows."""
    return sorted((r for r in world.results() if r.stream == stream), key=lambda result: result.start_ns)


def test_waiting_sheds_nothing(world: World, feed: MakeFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    """However late the results are, the model gets every window whole."""
    world.send(feed("city").play(40))

    with open_with_slow_model(world, monkeypatch, "wait", window_s=0.03, frame_s=0) as (pipeline, _):
        step_until(pipeline, lambda: len(world.store.results("city")) == 20)

    assert all(result.shed == Shed() and result.modalities.video.used == 4 for result in world.results())
    assert world.seen(OverloadLevelChanged) == []


def test_degrading_sheds_frames_only(world: World, feed: MakeFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shed frames are counted in results and events. Audio and subtitles are kept. Afterwards nothing is shed."""
    world.send(feed("city").play(120))

    with open_with_slow_model(world, monkeypatch, "degrade", window_s=0.002, frame_s=0.02) as (pipeline, model):
        step_until(pipeline, lambda: len(world.store.results("city")) == 60)
        step_until(pipeline, lambda: world.seen(OverloadLevelChanged)[-1].level == 0)
        model.frame_s = 0
        world.send(feed("port").play(2))  # one window: the second one of a busy machine could be too late
        step_until(pipeline, lambda: len(world.store.results("port")) == 1)

    busy = by_start(world, "city")
    assert busy[0].shed == Shed()
    assert {result.modalities.video.used for result in busy} >= {4, 2}
    for result in busy:
        assert result.shed == Shed(video=4 - result.modalities.video.used)
        assert result.modalities.audio.used == 4
        assert result.modalities.subtitles.used == 1
        assert result.observations.visual
    shed = sum(result.shed.video for result in busy)
    assert sum(event.items["video"] for event in world.seen(ItemsShed)) == shed > 0
    assert {event.items["audio"] for event in world.seen(ItemsShed)} == {0}
    assert all(result.shed == Shed() for result in by_start(world, "port"))


def test_pictures_for_detectors_are_shed_first(world: World, feed: MakeFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow detector alone is shed, and no frame: results and events count the pictures."""
    world.send(feed("city").play(60))
    detector = PlainDetector(delay_s=0.05)

    with open_with_slow_model(world, monkeypatch, "degrade", window_s=0, frame_s=0, detector=detector) as (pipeline, _):
        step_until(pipeline, lambda: len(world.store.results("city")) == 30)
        step_until(pipeline, lambda: world.seen(OverloadLevelChanged)[-1].level == 0)

    assert world.seen(OverloadLevelChanged)[0] == OverloadLevelChanged(1, frames=4, asks_model=True, pictures=0)
    results = by_start(world, "city")
    assert (results[0].shed, len(results[0].detections)) == (Shed(), 2)
    shed = [result for result in results if result.shed != Shed()]
    assert shed[0].shed == Shed(detections=2)
    for result in shed:  # on a busy machine frames may follow
        assert (result.shed.detections, result.counts, result.detections) == (2, None, ())
        assert result.modalities.video.used == 4 - result.shed.video
    assert sum(event.pictures for event in world.seen(ItemsShed)) == 2 * len(shed)


def test_skipping_publishes_windows_without_predictions(
    world: World, feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First frames are shed, then the model. A skipped window has its words and its evidence, but no predictions."""
    world.send(feed("city").play(160))

    with open_with_slow_model(world, monkeypatch, "skip", window_s=0.06, frame_s=0) as (pipeline, model):
        step_until(pipeline, lambda: len(world.store.results("city")) == 80)
        step_until(pipeline, lambda: world.seen(OverloadLevelChanged)[-1].level == 0)
        model.window_s = 0
        world.send(feed("port").play(2))  # one window: the second one of a busy machine could be too late
        step_until(pipeline, lambda: len(world.store.results("port")) == 1)

    assert [event.level for event in world.seen(OverloadLevelChanged)][:4] == [1, 2, 3, 4]
    skipped = [result for result in by_start(world, "city") if result.shed.model]
    assert skipped
    for result in skipped:
        assert result.shed == Shed(video=4, audio=4, subtitles=1, model=True)
        assert not result.observations.visual
        assert len(result.observations.words) == 1
        assert {report.used for _, report in result.modalities} == {0}
        assert {report.state for _, report in result.modalities} == {"present"}
    assert sum(event.model_skipped for event in world.seen(ItemsShed)) == len(skipped)
    assert len({result.id for result in world.results()}) == 81
    assert all(result.shed == Shed() for result in by_start(world, "port"))


@pytest.mark.parametrize("flags", [["--until-end"], ["--from", "-2h"]])
def test_a_run_that_ends_by_itself_rejects_overload_policies(flags: list[str]) -> None:
    """The error comes before any connection is made."""
    result = CliRunner().invoke(app, ["work", "--overload", "skip", *flags])

    assert isinstance(result.exception, UsageError)
    assert "--overload" in str(result.exception)


def test_a_run_that_ends_by_itself_waits() -> None:
    """No other setting changes."""
    given = load(overrides={"worker.overload": "skip", "worker.prepare_threads": 3}, environ={})

    assert given.without_load_shedding() == load(overrides={"worker.prepare_threads": 3}, environ={})


class BlockedModel(NullModel):
    """Waits for permission before each answer."""

    def __init__(self, spec: InputSpec) -> None:
        super().__init__(spec)
        self.may_answer = threading.Event()
        self.called = 0

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        """Predict nothing, once it may."""
        self.called += 1
        assert self.may_answer.wait(30)
        return super().predict(windows)


def test_the_loop_does_not_spin_while_the_model_is_busy(
    world: World, feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches that are due and must wait for the model are no reason to poll at once: the model needs the CPU.

    Without room each step waits for the stages before it polls.
    """
    overrides = {"model.name": "null", "batch.max_windows": 1, "batch.max_delay_ms": 0}
    world.settings = load(overrides=overrides, environ={})
    model = BlockedModel(world.spec)
    monkeypatch.setattr("triptych.worker.wiring.model_from", lambda _: model)
    world.send(feed("city").play(20))
    waits_s = [0.0]  # of each step
    poll, wait_for_room = MemoryGroupConsumer.poll, Stages.wait_for_room

    def waiting(self: Stages, limit_s: float) -> None:
        waits_s[-1] += limit_s
        wait_for_room(self, limit_s)

    def noting(self: MemoryGroupConsumer, timeout_s: float) -> Poll:
        waits_s[-1] += timeout_s
        waits_s.append(0.0)
        return poll(self, timeout_s)

    with world.open() as pipeline:
        step_until(pipeline, lambda: model.called > 0)
        for _ in range(40):  # windows are prepared and batched meanwhile
            pipeline.step()
        monkeypatch.setattr(MemoryGroupConsumer, "poll", noting)
        monkeypatch.setattr(Stages, "wait_for_room", waiting)
        for _ in range(10):
            pipeline.step()
        model.may_answer.set()
        step_until(pipeline, lambda: len(world.store.results("city")) == 10)

    assert min(waits_s[:10]) >= 0.004
