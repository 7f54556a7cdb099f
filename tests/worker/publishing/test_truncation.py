"""Results over the size limit: truncated, or dead-lettered in part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.worker.plain_detector import PlainDetector
from tests.worker.world import Feed, World
from triptych.models.detection.detecting_model import DetectingModel
from triptych.models.null import NullModel
from triptych.models.prediction import PredictedDetection
from triptych.models.window import DetectionPicture
from triptych.schemas.codec import parse_result
from triptych.schemas.names import TOPIC_OF
from triptych.schemas.reasons import DeadReason
from triptych.schemas.records import InputRecord
from triptych.settings.loading import load
from triptych.transport.memory.transport import MemoryTransport

LIMIT = 20_000
CUES = 60
SECONDS = 4


@pytest.fixture(params=["at_least_once", "exactly_once"])
def small(world: World, request: pytest.FixtureRequest) -> World:
    """A world with a low limit for records, in each delivery mode."""
    world.transport = MemoryTransport(max_record_bytes=LIMIT)
    world.settings = load(overrides={"model.name": "null", "delivery": request.param}, environ={})
    return world


def talkative(feed: Feed, length: int) -> Iterator[InputRecord]:
    """Return a film with `CUES` cues of some length in its first window."""
    for number in range(CUES):
        yield feed.cue(number / CUES, 1, "x" * length, (number + 1) / CUES)
    yield feed.progress("subtitles", SECONDS, SECONDS)
    for quarter in range(4 * SECONDS):
        yield feed.frame(quarter / 4)
    yield feed.end("subtitles", SECONDS)
    yield feed.end("video", SECONDS)


def test_long_words_are_truncated_if_the_result_is_too_large(small: World) -> None:
    """The subtitles topic still holds them whole: nothing is dead-lettered."""
    feed = Feed("city", tracks=("video", "subtitles"))
    small.send([feed.cue(0, 1, "x" * (LIMIT - 1_000), 4), *talkative(feed, 1)])

    small.work()

    first, _ = small.results()
    assert [len(word.text) for word in first.observations.words] == [500, *[1] * CUES]
    assert small.letters() == []


def test_words_that_do_not_fit_truncated_are_left_out_and_dead_lettered(small: World) -> None:
    """The window is published in its place. The dead letter names its first cue."""
    small.send(talkative(Feed("city", tracks=("video", "subtitles")), 490))

    small.work()

    first, second = small.results()
    assert first.observations.words == ()
    assert first.modalities.subtitles.items == CUES
    assert first.start_ns < second.start_ns
    (letter,) = small.letters()
    assert (letter.topic, letter.code, letter.whole) == (TOPIC_OF["subtitles"], DeadReason.TOO_LARGE, False)
    assert first.modalities.subtitles.offsets is not None
    assert (letter.partition, letter.offset) == (
        first.modalities.subtitles.partition,
        first.modalities.subtitles.offsets[0],
    )
    assert first.id in letter.reason
    assert str(LIMIT) in letter.reason
    assert [parse_result(document) for document in small.store.results("city")] == [first, second]


class CrowdDetector(PlainDetector):
    """Finds 300 people in each picture."""

    def detect(self, pictures: Sequence[DetectionPicture]) -> list[tuple[PredictedDetection, ...]]:
        """Return 300 boxes for each picture."""
        boxes = [(at, 0.0, at + 1.0, 9.0) for at in range(300)]
        return [tuple(PredictedDetection(each.time_ns, "person", 0.5, box) for box in boxes) for each in pictures]


def test_detections_that_do_not_fit_are_left_out(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counts are published all the same, and nothing is dead-lettered."""
    model = DetectingModel(NullModel(small.spec), CrowdDetector(), pictures=1)
    monkeypatch.setattr("triptych.worker.wiring.model_from", lambda _: model)
    feed = Feed("city", tracks=("video",))
    small.send([feed.frame(0), feed.end("video", 2)])

    small.work()

    (result,) = small.results()
    assert result.detections == ()
    assert result.counts is not None
    assert (result.counts["people"].largest, result.counts["person"].entered) == (300, 300)
    assert small.letters() == []
