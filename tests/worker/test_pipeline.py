"""A whole worker in memory: every window is published once, whatever happens."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.worker.world import Feed, World, measured
from triptych.models.null import NullModel
from triptych.models.prediction import WindowPrediction
from triptych.models.window import PreparedWindow
from triptych.schemas.names import STATE_HEADER, VIDEO_TOPIC, results_topic
from triptych.schemas.records import InputRecord, SubtitleCue, VideoFrame
from triptych.schemas.results import Result
from triptych.transport.protocols import GroupConsumer
from triptych.transport.records import Message, Poll, TopicPartition
from triptych.worker.errors import StateUnreadableError
from triptych.worker.observability.events import (
    LagMeasured,
    LateItemReceived,
    ModelFailed,
    PartitionRestored,
    PartitionsRevoked,
    RecordDropped,
)

MakeFeed = Callable[..., Feed]
VARYING = {"published_ns", "arrival_ms", "stage_ms"}
LIMIT_S = 60.0


def contents(results: Sequence[Result]) -> list[dict[str, object]]:
    """Return the contents of results, without the fields that differ from run to run."""
    return sorted((result.model_dump(exclude=VARYING) for result in results), key=lambda document: str(document["id"]))


def test_each_window_gives_one_result(world: World, feed: MakeFeed) -> None:
    """Ten seconds give five windows, each with its frames, its audio and its cue."""
    world.send(feed("city").play(10))

    report = world.work()

    results = sorted(world.results(), key=lambda result: result.start_ns)
    assert report.open_streams == ()
    assert [(result.start_ns - results[0].start_ns) // 10**9 for result in results] == [0, 2, 4, 6, 8]
    for at, result in enumerate(results):
        assert {m: report.state for m, report in result.modalities} == dict.fromkeys(
            ("video", "audio", "subtitles"), "present"
        )
        assert result.modalities.video.items == 8
        assert result.modalities.video.used == 4
        assert result.modalities.audio.items == 4
        assert [word.text for word in result.observations.words] == [f"words at {2 * at}"]
        assert result.modalities.video.gaps == 0
    assert len(world.store.results("city")) == 5


def test_a_second_worker_has_nothing_to_do(world: World, feed: MakeFeed) -> None:
    """All records of the ended stream are committed: nothing is read, published or counted again."""
    world.send(feed("city").play(6))
    world.work()
    first = world.results()

    world.work()

    assert world.results() == first
    assert len(world.store.results("city")) == 3


class _EmbeddingModel(NullModel):
    """Returns a different embedding for each window, as a real model does."""

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        vectors = [(math.cos(window.start_ns / 1e9), math.sin(window.start_ns / 1e9)) for window in windows]
        predictions = super().predict(windows)
        return [replace(p, embedding=v, frame_embeddings=(v,)) for p, v in zip(predictions, vectors, strict=True)]


@pytest.mark.parametrize("steps", range(1, 14))
def test_workers_that_die_at_any_step_publish_the_results_of_an_undisturbed_one(
    world: World, feed: MakeFeed, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids and contents are equal, novelty and sync included."""
    monkeypatch.setattr("triptych.worker.wiring.model_from", lambda _: _EmbeddingModel(world.spec))
    world.send([*measured(feed("city").play(8)), *feed("port", start_s=3).play(5, ended=False)])
    for _ in range(4):
        world.work_some(steps)

    world.work()

    undisturbed = type(world)()
    undisturbed.send([*measured(feed("city").play(8)), *feed("port", start_s=3).play(5, ended=False)])
    undisturbed.work()
    assert contents(world.results()) == contents(undisturbed.results())
    assert sum(result.novelty is not None for result in undisturbed.results()) == 5
    assert len({result.sync.offset_ms for result in undisturbed.results() if result.stream == "city"}) == 4
    assert len({result.id for result in world.results()}) == len(world.results())
    assert len(world.store.results("city")) == len(undisturbed.store.results("city"))


def test_a_restart_restores_streams_from_the_results_topic(world: World, feed: MakeFeed) -> None:
    """An open stream continues from the state in its last result."""
    city = feed("city")
    world.send(city.play(5, ended=False))
    first = world.work()
    assert first.open_streams == ("city",)

    world.send([city.frame(at) for at in (5, 6, 7)])
    world.send([city.chunk(at) for at in (5, 5.5)])
    world.send([city.end("video", 8), city.end("audio", 8), city.end("subtitles", 8)])
    world.work()

    assert any(event.streams == 1 for event in world.seen(PartitionRestored))
    results = sorted(world.results(), key=lambda result: result.start_ns)
    assert [result.modalities.video.items for result in results] == [8, 8, 5, 2]
    assert len({result.id for result in results}) == 4


def test_the_same_media_sent_again_is_late_and_changes_nothing(world: World, feed: MakeFeed) -> None:
    """A second pass with the same event times is counted as late. No id is published twice."""
    world.send(feed("city").play(6))
    world.work()
    first = world.results()

    world.send(feed("city", session="again").play(6))
    world.work()

    assert world.results() == first
    assert len(world.seen(LateItemReceived)) == 6 * 4 + 6 * 2 + 3  # frames, chunks and cues
    assert world.seen(RecordDropped) == []


def test_undecodable_records_are_dead_lettered_unchanged(world: World, feed: MakeFeed) -> None:
    """A malformed header and a broken image become dead letters. The windows count them and lack nothing else."""
    city = feed("city")
    records = city.play(4, ended=False)
    world.send(records[:4])
    world.send_raw(Message(VIDEO_TOPIC, b"city", b"whole value", (("ce_specversion", b"0.3"), ("x", b"y"))))
    assert isinstance(records[-1], VideoFrame)
    broken = records[-1].model_copy(update={"data": b"not an image"})
    world.send([*records[4:-1], broken, *(city.end(m, 4) for m in city.tracks)])

    world.work()

    letters = {letter.value: letter for letter in world.letters()}
    assert set(letters) == {b"whole value", b"not an image"}
    assert letters[b"whole value"].headers == (("ce_specversion", b"0.3"), ("x", b"y"))
    assert "ce_specversion" in letters[b"whole value"].reason
    results = sorted(world.results(), key=lambda result: result.start_ns)
    assert [result.dead for result in results] == [1, 1]
    assert [result.modalities.video.used for result in results] == [4, 4]
    assert [result.modalities.audio.items for result in results] == [4, 4]


def test_a_record_on_the_wrong_partition_is_dead_lettered(world: World, feed: MakeFeed) -> None:
    """Another partitioner would split a stream. The reason has both partitions."""
    city = feed("city")
    world.send(city.play(2))
    expected = world.results_partition("city")
    world.send_raw(Message(VIDEO_TOPIC, b"city", b"x", (), partition=(expected + 1) % 6))

    world.work()

    [letter] = world.letters()
    assert f"expected {expected} for its key" in letter.reason
    assert f"got {(expected + 1) % 6}" in letter.reason


def test_generated_subtitles_are_marked_in_the_result(world: World, feed: MakeFeed) -> None:
    """With the name of the model. Other subtitles have no mark."""

    def as_generated(record: InputRecord) -> InputRecord:
        is_cue = isinstance(record, SubtitleCue)
        return record.model_copy(update={"generated": True, "generated_by": "whisper-tiny.en"}) if is_cue else record

    world.send([*map(as_generated, feed("heard").play(2)), *feed("written").play(2)])

    world.work()

    words = {result.stream: result.observations.words[0] for result in world.results()}
    assert (words["heard"].generated, words["heard"].generated_by) == (True, "whisper-tiny.en")
    assert "generated" not in words["written"].model_dump()


class _FailingOnOneStream(NullModel):
    """Fails on the windows of one stream, alone or in a batch."""

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        if any(window.stream == "bad" for window in windows):
            raise ValueError("unsupported input")
        return super().predict(windows)


def test_a_window_on_which_the_model_fails_affects_no_other(
    world: World, feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its result has its words and no used items. The results of the other stream are complete."""
    monkeypatch.setattr("triptych.worker.wiring.model_from", lambda _: _FailingOnOneStream(world.spec))
    world.send([*feed("bad").play(2), *feed("good").play(2)])

    world.work()

    by_stream = {result.stream: result for result in world.results()}
    assert by_stream["bad"].modalities.video.used == 0
    assert by_stream["good"].modalities.video.used == 4
    assert [word.text for word in by_stream["bad"].observations.words] == ["words at 0"]
    assert len(world.seen(ModelFailed)) == 1


class _Broken(NullModel):
    """Fails on every input after the first warm-up."""

    warmed = False

    def warm(self) -> None:
        if self.warmed:
            raise RuntimeError("device lost")
        self.warmed = True

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        raise RuntimeError(f"device lost before {len(windows)} windows")


def test_a_broken_model_stops_the_worker_and_publishes_nothing(
    world: World, feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would otherwise publish empty results."""
    monkeypatch.setattr("triptych.worker.wiring.model_from", lambda _: _Broken(world.spec))
    world.send(feed("city").play(4))

    with pytest.raises(Exception, match="device lost") as raised:
        world.work()

    assert raised.value.exit_code == 6
    assert world.results() == []


def test_a_signal_ends_the_run_after_publishing_and_committing(world: World, feed: MakeFeed) -> None:
    """The stop flag ends the loop. A new worker continues without a gap or a repeat."""
    city = feed("city")
    world.send(city.play(6, ended=False))
    stop = threading.Event()
    with world.open() as pipeline:
        for _ in range(3):
            pipeline.step()
        stop.set()
        pipeline.run(stop)
    world.send(city.end(modality, 6) for modality in city.tracks)

    world.work()

    assert len(world.results()) == len({result.id for result in world.results()}) == 3


def test_a_worker_that_has_read_everything_has_no_lag(world: World, feed: MakeFeed) -> None:
    """However long no records arrive: the lag measures unprocessed records, not idle time."""
    world.send(feed("city").play(2, ended=False))
    with world.open() as pipeline:
        # There is a measurement a second: idle time would be two seconds by the third, and more by each later one.
        deadline_s = time.monotonic() + LIMIT_S
        while not any(event.seconds < 0.5 for event in world.seen(LagMeasured)[2:]):
            assert time.monotonic() < deadline_s, world.seen(LagMeasured)
            pipeline.step()


class _Moving:
    """A group consumer whose partitions are revoked for some polls, right after their assignment."""

    def __init__(self, consumer: GroupConsumer) -> None:
        self._consumer = consumer
        self._removed: frozenset[TopicPartition] = frozenset()
        self._polls_without = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._consumer, name)

    def poll(self, timeout_s: float) -> Poll:
        if self._removed and self._polls_without:
            self._polls_without -= 1
            threading.Event().wait(timeout_s)  # as an empty poll does
            return Poll(revoked=self._removed) if self._polls_without == 4 else Poll()
        if self._removed:
            removed, self._removed = self._removed, frozenset()
            return self._assigned(removed)
        polled = self._consumer.poll(timeout_s)
        if not polled.assigned:
            return polled
        self._removed, self._polls_without = polled.assigned, 5
        return self._assigned(polled.assigned)

    def _assigned(self, tps: frozenset[TopicPartition]) -> Poll:
        for tp in tps:
            self._consumer.seek(tp, 0)
        return Poll(assigned=tps)


def test_a_worker_without_partitions_has_not_reached_the_end(
    world: World, feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the partitions come back, it reads everything."""
    world.send(feed("city").play(4))
    join = world.transport.group_consumer
    monkeypatch.setattr(world.transport, "group_consumer", lambda *args, **named: _Moving(join(*args, **named)))

    world.work()

    assert len(world.seen(PartitionsRevoked)) == 1
    assert len(world.results()) == 2


def test_a_state_that_cannot_be_read_stops_the_worker(world: World, feed: MakeFeed) -> None:
    """Without the state it would publish the windows of the stream again."""
    world.send(feed("city").play(4))
    world.work()
    [*_, last] = world.read(results_topic(world.settings.pipeline))
    newer = tuple((name, b'{"v":99}' if name == STATE_HEADER else value) for name, value in last.headers)
    world.send_raw(Message(last.topic, last.key or b"", last.value, newer, last.partition))

    with pytest.raises(StateUnreadableError, match=r"city.*another pipeline name"):
        world.work()
