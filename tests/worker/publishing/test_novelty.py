"""Novelty of windows, and its independence of restarts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.models.prediction import WindowPrediction, WindowVectors
from triptych.schemas.codec import parse_result
from triptych.schemas.names import result_id
from triptych.schemas.perception.vectors import Vectors, encode_vector
from triptych.schemas.results import Arrival, Modalities, ModalityReport, ModelReference, Result
from triptych.worker.publishing.novelty import RecentWindows, moments_of

SECOND = 1_000_000_000
TTL_NS = 600 * SECOND
TTL_MS = 600_000
MODEL = ModelReference(name="toy", version="1", sha256="a" * 64)
ABSENT = ModalityReport(state="absent")
EAST, NORTH, UP = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
Vector = tuple[float, ...]
GOLDEN = Path(__file__).parents[2] / "golden" / "v1"


def window(
    number: int,
    embedding: Vector | None,
    *,
    stream: str = "city",
    arrived_ms: int | None = None,
    model: ModelReference = MODEL,
) -> Result:
    """Return the result of a window of 2 s. By default its records arrive while it is open."""
    start_ns = number * 2 * SECOND
    first = number * 2_000 if arrived_ms is None else arrived_ms
    return Result(
        id=result_id(stream, start_ns, start_ns + 2 * SECOND, 0),
        stream=stream,
        start_ns=start_ns,
        end_ns=start_ns + 2 * SECOND,
        closed_by="progress",
        published_ns=1,
        arrival_ms=Arrival(first=first, last=first + 1_900),
        modalities=Modalities(video=ABSENT, audio=ABSENT, subtitles=ABSENT),
        model=model,
        embedding=embedding,
    )


def novelty_of(recent: RecentWindows, result: Result) -> float | None:
    """Return the novelty of a window without change from beginning to end, and remember the window."""
    return recent.with_novelty(result, () if result.embedding is None else (result.embedding,)).novelty


def test_repeated_content_is_not_novel() -> None:
    """Among the remembered windows, whatever came in between."""
    recent = RecentWindows(TTL_NS)
    novelties = [
        novelty_of(recent, window(number, vector)) for number, vector in enumerate((EAST, EAST, NORTH, EAST, UP))
    ]
    assert novelties == [None, 0, 1, 0, 1]


def test_a_revision_is_compared_with_earlier_windows_and_takes_the_place_of_its_own() -> None:
    """Otherwise it would be compared with itself, and the same content would count twice."""
    recent = RecentWindows(TTL_NS)
    for number, vector in enumerate((EAST, NORTH, UP)):
        novelty_of(recent, window(number, vector))
    late = window(1, UP)
    revised = late.model_copy(update={"revision": 1, "id": f"{late.window}/1"})

    assert novelty_of(recent, revised) == 1
    assert novelty_of(recent, revised.model_copy(update={"embedding": EAST})) == 0
    for number in range(3, 16):  # if the revision counted, the first window would be forgotten by now
        novelty_of(recent, window(number, NORTH))
    assert novelty_of(recent, window(16, EAST)) == 0
    assert novelty_of(RecentWindows(TTL_NS), revised) is None


def test_a_window_that_was_incomplete_is_no_baseline_once_it_is_completed() -> None:
    """Its content alone is remembered: what the incomplete one looked like is novel again."""
    recent = RecentWindows(TTL_NS)
    novelty_of(recent, window(0, EAST))
    hollow = window(1, UP)
    novelty_of(recent, hollow)
    novelty_of(recent, hollow.model_copy(update={"revision": 1, "id": f"{hollow.window}/1", "embedding": NORTH}))

    assert novelty_of(recent, window(2, NORTH)) == 0
    assert novelty_of(recent, window(3, UP)) == 1


def test_a_short_part_makes_a_window_novel() -> None:
    """The embedding of the whole window lies near earlier ones, but that of one frame does not."""
    recent = RecentWindows(TTL_NS)
    novelty_of(recent, window(0, EAST))
    mostly_the_same = (0.96, 0.28, 0.0)
    assert recent.with_novelty(window(1, mostly_the_same), (EAST, EAST, NORTH)).novelty == 1
    assert novelty_of(recent, window(2, mostly_the_same)) == pytest.approx(0, abs=1e-4)


def test_streams_are_independent() -> None:
    """Content that one stream has shown is novel for another."""
    recent = RecentWindows(TTL_NS)
    novelty_of(recent, window(0, EAST, stream="one"))
    assert novelty_of(recent, window(0, EAST, stream="two")) is None
    assert novelty_of(recent, window(1, NORTH, stream="one")) == 1


def test_only_the_last_sixteen_windows_are_remembered() -> None:
    """Content from earlier windows is novel again."""
    recent = RecentWindows(TTL_NS)
    novelty_of(recent, window(0, EAST))
    for number in range(1, 16):
        novelty_of(recent, window(number, NORTH))
    assert novelty_of(recent, window(16, EAST)) == 0
    for number in range(17, 33):
        novelty_of(recent, window(number, NORTH))
    assert novelty_of(recent, window(33, EAST)) == 1


def test_windows_older_than_the_ttl_do_not_count() -> None:
    """The tail that a restart reads may not contain them."""
    recent = RecentWindows(TTL_NS)
    novelty_of(recent, window(0, EAST, arrived_ms=0))
    assert novelty_of(recent, window(1, EAST, arrived_ms=TTL_MS + 1_899)) == 0
    assert novelty_of(recent, window(2, EAST, arrived_ms=3 * TTL_MS)) is None


def test_embeddings_of_different_models_are_not_compared() -> None:
    """They lie in different spaces."""
    recent = RecentWindows(TTL_NS)
    novelty_of(recent, window(0, EAST))
    other = ModelReference(name="toy", version="2", sha256="b" * 64)
    assert novelty_of(recent, window(1, EAST, model=other)) is None


def test_a_window_without_an_embedding_or_records_has_no_novelty() -> None:
    """It is not remembered either."""
    recent = RecentWindows(TTL_NS)
    novelty_of(recent, window(0, EAST))
    assert novelty_of(recent, window(1, None)) is None
    held = window(2, NORTH).model_copy(update={"arrival_ms": Arrival()})
    assert novelty_of(recent, held) is None
    assert novelty_of(recent, window(3, NORTH)) == 1


@given(
    seed=st.integers(0, 2**32 - 1),
    streams=st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, max_size=60),
    pace_ms=st.sampled_from([100, 2_000, 60_000, 400_000]),
    crash=st.integers(0, 60),
)
def test_a_restart_anywhere_changes_no_novelty(seed: int, streams: list[str], pace_ms: int, crash: int) -> None:
    """At any rate of windows: the tail goes back by one TTL from the oldest unfinished record."""
    random = np.random.default_rng(seed)
    results = [
        window(number, tuple(random.standard_normal(3).tolist()), stream=stream, arrived_ms=number * pace_ms)
        for number, stream in enumerate(streams)
    ]
    undisturbed = RecentWindows(TTL_NS)
    expected = [novelty_of(undisturbed, result) for result in results]
    oldest_unread_ms = min((result.arrival_ms.first or 0 for result in results[crash:]), default=0)
    again = RecentWindows(TTL_NS)
    for result in results[:crash]:
        if (result.arrival_ms.last or 0) >= oldest_unread_ms - TTL_MS:
            again.remember(result)
    assert [novelty_of(again, result) for result in results[crash:]] == expected[crash:]


def in_space(
    number: int, *, fused: Vector, video: Vector | None = None, embedding: Vector | None = None, space: str = "space-1"
) -> Result:
    """Return the result of a window with vectors of a joint space."""
    vectors = Vectors(space=space, fused=encode_vector(fused), video=None if video is None else encode_vector(video))
    return window(number, embedding).model_copy(update={"vectors": vectors})


def test_pictures_are_compared_with_pictures() -> None:
    """What is said does not count while there are pictures; without any, the fused vector counts."""
    recent = RecentWindows(TTL_NS)
    assert recent.with_novelty(in_space(0, fused=NORTH, video=EAST), (EAST,)).novelty is None
    assert recent.with_novelty(in_space(1, fused=UP, video=EAST), (EAST, EAST)).novelty == 0
    assert recent.with_novelty(in_space(2, fused=UP, video=EAST), (EAST, NORTH)).novelty == 1
    assert recent.with_novelty(in_space(3, fused=NORTH), (NORTH,)).novelty == 0
    assert recent.with_novelty(in_space(4, fused=EAST), (EAST,)).novelty == 1
    said = Vectors(space="space-1", subtitles=encode_vector(EAST), weights={"subtitles": 1.0})
    assert recent.with_novelty(window(5, None).model_copy(update={"vectors": said}), (EAST,)).novelty == 0


def test_vectors_of_different_spaces_are_not_compared() -> None:
    """Neither with each other nor with an embedding."""
    recent = RecentWindows(TTL_NS)
    recent.with_novelty(in_space(0, fused=EAST, video=EAST), (EAST,))
    recent.with_novelty(window(1, EAST), (EAST,))
    assert recent.with_novelty(in_space(2, fused=EAST, video=EAST, space="space-2"), (EAST,)).novelty is None


def test_an_embedding_takes_precedence_over_vectors() -> None:
    """Results of earlier workers have only the embedding, and those of the same trained model now have both."""
    recent = RecentWindows(TTL_NS)
    recent.remember(window(0, EAST))
    both = in_space(1, fused=UP, video=UP, embedding=EAST)
    assert recent.with_novelty(both, (EAST,)).novelty == 0
    assert recent.with_novelty(window(2, NORTH), (NORTH,)).novelty == 1


def test_a_restart_changes_no_novelty_by_vectors() -> None:
    """The vectors are remembered as they were published: rounded to half precision."""
    random = np.random.default_rng(0)
    units = random.standard_normal((12, 8))
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    results = [in_space(number, fused=tuple(one), video=tuple(one)) for number, one in enumerate(units.tolist())]
    for number in (3, 5, 9):  # without pictures, and the fused vector follows from two others
        audio, subtitles = (encode_vector(units[other].tolist()) for other in (number, number - 1))
        vectors = Vectors(space="space-1", audio=audio, subtitles=subtitles, weights={"audio": 0.25, "subtitles": 1.0})
        results[number] = results[number].model_copy(update={"vectors": vectors})
    undisturbed = RecentWindows(TTL_NS)
    expected = [undisturbed.with_novelty(one, (unit,)).novelty for one, unit in zip(results, units, strict=True)]
    again = RecentWindows(TTL_NS)
    for one in results[:7]:
        again.remember(Result.model_validate_json(one.model_dump_json()))
    novelties = [again.with_novelty(one, (unit,)).novelty for one, unit in zip(results[7:], units[7:], strict=True)]
    assert novelties == expected[7:]


def test_the_moments_of_a_window_are_its_frames() -> None:
    """Without frames, the fused vector; a model with an embedding has moments of its own."""
    east, north = np.asarray(EAST, np.float32), np.asarray(NORTH, np.float32)
    frames = np.stack([east, north])
    seen = WindowPrediction(vectors=WindowVectors("space-1", east, video=east, frames=frames))
    np.testing.assert_array_equal(np.asarray(moments_of(seen)), frames)
    heard = WindowPrediction(vectors=WindowVectors("space-1", north))
    np.testing.assert_array_equal(np.asarray(moments_of(heard)), [north])
    trained = replace(seen, embedding=UP, frame_embeddings=(UP,))
    assert moments_of(trained) == (UP,)
    assert moments_of(WindowPrediction()) == ()


def test_a_result_of_an_earlier_worker_still_gives_novelty() -> None:
    """The golden result has an embedding and no vectors, as a restart reads it from the topic."""
    golden = json.loads((GOLDEN / "result_with_all_filled.json").read_text(encoding="utf-8"))
    old = parse_result(golden["value"].encode()).model_copy(update={"revision": 0})
    assert old.embedding is not None
    assert old.vectors is None
    recent = RecentWindows(TTL_NS)
    recent.remember(old)
    moment = np.asarray(old.embedding) / np.linalg.norm(old.embedding)
    later = old.model_copy(update={"start_ns": old.end_ns})
    expected = min(max(1 - float(moment @ np.asarray(old.embedding)), 0), 2)
    assert recent.with_novelty(later, (moment,)).novelty == pytest.approx(expected, abs=1e-4)
