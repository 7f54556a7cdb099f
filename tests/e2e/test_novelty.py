"""A cut in a real film is news; played through the whole pipeline with the real model, in one process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pytest

from triptych.producers.plan import Plan
from triptych.producers.run import produce_all
from triptych.producers.source import FileSource
from triptych.schemas.results import Result
from triptych.settings import Settings
from triptych.transport.memory import MemoryTransport
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics
from triptych.worker.observability.health import Health
from triptych.worker.sinks.memory import MemoryStore
from triptych.worker.wiring import Surroundings, open_pipeline

SAMPLES = Path(__file__).parents[2] / "triptych" / "samples"
START_NS = 1_767_225_600_000_000_000
WINDOW_NS = 2_000_000_000
CUTS_S = (4.64, 7.60, 11.76, 14.72)


def played(clip: Path) -> Sequence[Result]:
    """Return the results of a clip, in order."""
    settings = Settings.model_validate({"model": {"name": "base", "threads": 1}})
    transport = MemoryTransport(max_record_bytes=settings.kafka.max_record_bytes)
    topics = TopicSettings("", max_record_bytes=settings.kafka.max_record_bytes)
    create_topics(transport.admin(), settings.pipeline, topics)
    plan = Plan(source=FileSource(clip), stream="film", start_at_ns=START_NS)
    (outcome,) = produce_all([plan], transport, stop=threading.Event())
    assert outcome.error is None
    store = MemoryStore()
    with open_pipeline(settings, Surroundings(transport, store, [], Health())) as worker:
        worker.run(threading.Event(), until_end=lambda: True)
    return [Result.model_validate_json(document) for document in store.results("film")]


@pytest.fixture(scope="module")
def film() -> Sequence[Result]:
    """Play the clip whose cuts are known."""
    return played(SAMPLES / "librivox_city_15s.mkv")


def holds_a_cut(result: Result) -> bool:
    """Tell whether a listed cut lies in a window."""
    return any(result.start_ns <= START_NS + cut_s * 1e9 < result.end_ns for cut_s in CUTS_S)


def test_a_window_with_a_cut_is_newer_than_one_without(film: Sequence[Result]) -> None:
    """By the median; the first window of a stream has nothing to be compared with."""
    assert film[0].novelty is None
    news = {result.start_ns: result.novelty for result in film[1:] if result.novelty is not None}
    assert len(news) == 7
    with_cut = [news[result.start_ns] for result in film[1:] if holds_a_cut(result)]
    without = [news[result.start_ns] for result in film[1:] if not holds_a_cut(result)]
    assert len(with_cut) == 4
    assert median(with_cut) > median(without)


def test_every_window_has_its_place_in_the_space(film: Sequence[Result]) -> None:
    """A vector of length 1 of as many numbers everywhere."""
    for result in film:
        assert result.embedding is not None
        assert len(result.embedding) == 256
        assert sum(number**2 for number in result.embedding) == pytest.approx(1, abs=1e-3)


def test_the_language_of_the_words_is_said(film: Sequence[Result]) -> None:
    """The film's own subtitle track states it; a window without words has none."""
    assert {result.observations.language for result in film if result.observations.words} == {"en"}
    assert {result.observations.language for result in film if not result.observations.words} <= {None}
