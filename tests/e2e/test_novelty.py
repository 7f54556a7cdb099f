"""Novelty with the real model: cuts of a real film are novel, and a killed worker loses no history."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import pytest

from tests.e2e.programs import Installation, assert_equal_results, wait_until
from triptych.producers.run import produce_all
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.sources.source import FileSource
from triptych.schemas.perception.vectors import decode_vector, fused_vector
from triptych.schemas.results import Result
from triptych.service.health import Health
from triptych.settings.tree import Settings
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics
from triptych.worker.publishing.stores.memory import MemoryStore
from triptych.worker.run import WholeLog
from triptych.worker.wiring import Dependencies, open_pipeline

Install = Callable[..., Installation]
Clip = Callable[[str], str]
SAMPLES = Path(__file__).parents[2] / "app" / "triptych" / "samples"
START = "2026-01-01T00:00:00Z"
START_NS = 1_767_225_600_000_000_000
WINDOWS_OF_TWO_PASSES = 16
CUTS_S = (4.64, 7.60, 11.76, 14.72)


def played(clip: Path) -> Sequence[Result]:
    """Return the results of a clip, in order."""
    settings = Settings.model_validate({"model": {"name": "base", "threads": 1}})
    transport = MemoryTransport(max_record_bytes=settings.kafka.max_record_bytes)
    topics = TopicSettings("", max_record_bytes=settings.kafka.max_record_bytes)
    create_topics(transport.admin(), settings.pipeline, topics)
    plan = PlaybackPlan(source=FileSource(clip), stream="film", start_at_ns=START_NS)
    (outcome,) = produce_all([plan], transport, stop=threading.Event())
    assert outcome.error is None
    store = MemoryStore()
    scope = WholeLog.of(settings)
    with open_pipeline(settings, Dependencies(transport, store, [], Health()), scope) as worker:
        worker.run(threading.Event(), until_end=lambda: True)
    return [Result.model_validate_json(document) for document in store.results("film")]


@pytest.fixture(scope="module")
def film() -> Sequence[Result]:
    """Play the clip with known cuts."""
    return played(SAMPLES / "librivox_city_15s.mkv")


def holds_a_cut(result: Result) -> bool:
    """Return whether a known cut is in a window."""
    return any(result.start_ns <= START_NS + cut_s * 1e9 < result.end_ns for cut_s in CUTS_S)


def test_a_window_with_a_cut_has_higher_novelty(film: Sequence[Result]) -> None:
    """By the median. The first window of a stream has nothing to compare with."""
    assert film[0].novelty is None
    news = {result.start_ns: result.novelty for result in film[1:] if result.novelty is not None}
    assert len(news) == 7
    with_cut = [news[result.start_ns] for result in film[1:] if holds_a_cut(result)]
    without = [news[result.start_ns] for result in film[1:] if not holds_a_cut(result)]
    assert len(with_cut) == 4
    assert median(with_cut) > median(without)


def test_every_window_has_vectors_in_one_space(film: Sequence[Result]) -> None:
    """Of length 1: that of the window and of each modality. The embedding of earlier versions is gone."""
    for result in film:
        assert result.embedding is None
        assert result.vectors is not None
        assert result.vectors.space == "semantic-1"
        own = result.vectors.video, result.vectors.audio, result.vectors.subtitles
        fused = fused_vector(result.vectors)
        assert (result.vectors.fused, fused is None) == (None, False)  # readers compute it
        decoded = [*filter(None, (fused,)), *(decode_vector(vector) for vector in own if vector is not None)]
        for vector in decoded:
            assert len(vector) == 512
            assert sum(number**2 for number in vector) == pytest.approx(1, abs=1e-2)
        assert (result.vectors.subtitles is not None) == bool(result.observations.words)


def test_the_language_of_the_words_is_reported(film: Sequence[Result]) -> None:
    """It is that of the film's subtitle track; a window without words has none."""
    assert {result.observations.language for result in film if result.observations.words} == {"en"}
    assert {result.observations.language for result in film if not result.observations.words} <= {None}


def kill_when_published(here: Installation, results: int) -> None:
    """Run a worker until there are this many results, and kill it."""
    with here.running("work") as worker:
        wait_until(lambda: here.count_results() >= results or not worker.is_running, f"{results} results")
        assert worker.is_running, f"the worker ended by itself:\n{worker.err}"


@pytest.mark.timeout(600)
def test_novelty_survives_a_killed_worker(install: Install, clip: Clip) -> None:
    """The next worker restores the history from the results topic: the results equal those of an undisturbed run."""
    here = install(
        TRIPTYCH_MODEL_NAME="base",
        TRIPTYCH_MODEL_RUNTIME="torch",  # four workers start: another runtime would be compared with torch by each
        TRIPTYCH_MODEL_FRAMES_PER_WINDOW="2",
        TRIPTYCH_BATCH_MAX_WINDOWS="2",
        TRIPTYCH_KAFKA_SESSION_TIMEOUT_MS="6000",
    )
    here.run("produce", clip("librivox_city_15s.mkv"), "--loop", "2", "--start-at", START).succeeded()
    undisturbed = here.other_pipeline(f"{here.pipeline}-undisturbed")
    for published in (2, 5):
        kill_when_published(here, published)
        assert here.count_results() < WINDOWS_OF_TWO_PASSES
    for each in (here, undisturbed):
        each.run("work", "--until-end").succeeded()
    expected = undisturbed.in_topic()
    assert len(expected) == WINDOWS_OF_TWO_PASSES
    assert [result.start_ns for result in expected if result.novelty is None] == [START_NS]
    assert_equal_results(here.in_topic(), expected)
    assert_equal_results(here.in_redis(), expected)
