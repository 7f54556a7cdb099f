"""Prompts in a whole worker over memory: live, replayed, and restarted."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from tests.worker.matching.prompt_texts import SPACE, WordSpace, change, word_vector
from tests.worker.reprocessing.test_run import STEP, T1, Past, contents_by_id
from tests.worker.world import Feed
from triptych.models.model import DetectionSpec, InputSpec
from triptych.models.null import NullModel
from triptych.models.prediction import PredictedDetection, WindowPrediction, WindowVectors
from triptych.models.window import PreparedWindow
from triptych.schemas.names import prompts_topic
from triptych.schemas.perception.prompt_codec import encode_prompt_change
from triptych.schemas.records import InputRecord, SubtitleCue
from triptych.schemas.results import Result
from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.memory.reader import MemoryReader
from triptych.transport.records import Message
from triptych.transport.topic_settings import TopicSettings
from triptych.worker import wiring
from triptych.worker.matching import open_prompts

DELAY_MS = 150
WORD_SPEC = InputSpec(4, 32, 32, 16_000, detection=DetectionSpec(1, 64))
TEXTS = ("street", "rain street", "street music", "fire", "street", "fire smoke", "rain", "street", "fire", "music")


class WordModel(NullModel):
    """The vectors of a window are those of its words; it detects a dog wherever there is rain."""

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        """Return vectors and detections."""
        return [self._prediction(window) for window in windows]

    def _prediction(self, window: PreparedWindow) -> WindowPrediction:
        text = " ".join(cue.text for cue in window.cues)
        pictures = window.pictures if "rain" in text else ()
        dogs = [PredictedDetection(picture.time_ns, "dog", 0.8, (0, 0, 9, 9)) for picture in pictures]
        vector = word_vector(text) if text else None
        frames = np.stack([word_vector("street")] * len(window.frame_times_ns)) if window.frame_times_ns else None
        vectors = WindowVectors(SPACE, word_vector("street"), subtitles=vector, frames=frames)
        return WindowPrediction(words=window.cues, vectors=vectors, detections=tuple(dogs))


@pytest.fixture
def past(monkeypatch: pytest.MonkeyPatch) -> Past:
    """An installation whose model has vectors, with the topic of prompts."""
    monkeypatch.setattr(wiring, "build_model", lambda _choice: WordModel(WORD_SPEC))
    monkeypatch.setattr(open_prompts, "build_text_space", lambda *_: WordSpace())
    made = Past()
    made.settings = made.named("triptych", **{"prompts.delay_ms": DELAY_MS}).settings
    made.transport.admin().create([TopicSettings(prompts_topic("triptych"), 1, cleanup_policy="compact")])
    return made


def again(past: Past, name: str) -> Past:
    """Return another pipeline that replays with the prompts of the first one."""
    return past.named(name, **{"prompts.delay_ms": DELAY_MS, "prompts.pipeline": "triptych"})


def ask(past: Past, name: str, text: str | None) -> None:
    """Set or remove a prompt now."""
    wire = encode_prompt_change(
        change(name, text, at_s=past.now_ns / 1e9 % 1e6).change, pipeline="triptych", moment_ns=past.now_ns
    )
    past.send_raw(Message(prompts_topic("triptych"), wire.key, wire.value, wire.headers))
    past.now_ns += STEP


def film() -> list[InputRecord]:
    """Return a film of 40 s whose cues speak of these texts."""
    texts = iter(TEXTS * 10)
    return [
        record.model_copy(update={"text": next(texts)}) if isinstance(record, SubtitleCue) else record
        for record in Feed("city").play(40)
    ]


def play(past: Past) -> None:
    """Send a film, and change the prompts meanwhile."""
    records = film()
    third = len(records) // 3
    past.send(records[: third // 2])
    ask(past, "fire", "fire")
    ask(past, "dogs", "a dog")
    past.send(records[third // 2 : 2 * third])
    ask(past, "dogs", None)
    ask(past, "fire", "smoke")
    past.send(records[2 * third :])


def by_version(results: Sequence[Result]) -> list[str]:
    """Return the versions of the prompts in the order of the windows, each once where it changes."""
    versions = [result.prompts_version or "" for result in sorted(results, key=lambda result: result.start_ns)]
    return [version for number, version in enumerate(versions) if number == 0 or versions[number - 1] != version]


def test_prompts_take_effect_by_the_arrival_clock_and_a_replay_finds_the_same(past: Past) -> None:
    """Windows before the delay have none. The worker reads the topic as a whole, after it has changed twice."""
    play(past)
    past.work()
    live = past.results()
    assert len(live) == 20
    none, first, last = by_version(live)
    assert none == ""
    with_both = [result for result in live if result.prompts_version == first]
    assert {name for result in with_both for name in result.matches or {}} == {"dogs", "fire"}
    assert {name for result in live if result.prompts_version == last for name in result.matches or {}} == {"fire"}
    for result in with_both:
        similarity = (result.matches or {})["fire"].similarity
        assert similarity is not None
        assert (similarity.subtitles or 0) > 0.5 or all("fire" not in words.text for words in result.observations.words)
    assert {match.evidence.subtitles is None for result in live for match in (result.matches or {}).values()} == {
        True,  # too little past
        False,
    }

    replayed = again(past, "again")
    replayed.reprocess(T1)
    assert contents_by_id(replayed.results()) == contents_by_id(live)


def test_a_killed_worker_loses_no_past(past: Past) -> None:
    """The matches of its successors equal those of an undisturbed worker."""
    play(past)
    past.work()
    overrides = {"prompts.delay_ms": DELAY_MS, "prompts.pipeline": "triptych", "batch.max_windows": 1}
    disturbed = past.named("disturbed", **overrides)
    for published in (4, 9, 15):
        with disturbed.open() as pipeline:
            while len(disturbed.results()) < published:
                pipeline.step()
        assert len(disturbed.results()) < 20
    disturbed.work()
    assert contents_by_id(disturbed.results()) == contents_by_id(past.results())


def test_nothing_is_published_while_the_prompts_are_unknown(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that cannot ask for the end of their topic waits; afterwards the results are the same."""
    play(past)
    end_offsets = MemoryReader.end_offsets
    away = threading.Event()
    away.set()

    def unreachable(reader: MemoryReader, tps: list[object]) -> object:
        if away.is_set() and any(getattr(tp, "topic", "") == prompts_topic("triptych") for tp in tps):
            raise BrokerUnavailableError("no broker answers")
        return end_offsets(reader, tps)  # type: ignore[arg-type]

    monkeypatch.setattr(MemoryReader, "end_offsets", unreachable)
    with past.open() as pipeline:
        for _ in range(60):
            pipeline.step()
        assert past.results() == []
        away.clear()
        pipeline.run(threading.Event(), until_end=lambda: True)
    waited = past.results()
    replayed = again(past, "again")
    replayed.reprocess(T1)
    assert len(waited) == 20
    assert contents_by_id(replayed.results()) == contents_by_id(waited)
