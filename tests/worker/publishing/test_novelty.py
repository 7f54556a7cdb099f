"""How new a window is, and that a restart makes no difference to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.schemas.names import result_id
from triptych.schemas.results import Arrival, Modalities, ModalityReport, ModelReference, Result
from triptych.worker.publishing.novelty import RecentWindows

SECOND = 1_000_000_000
TTL_NS = 600 * SECOND
TTL_MS = 600_000
MODEL = ModelReference(name="toy", version="1", sha256="a" * 64)
ABSENT = ModalityReport(state="absent")
EAST, NORTH, UP = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
Vector = tuple[float, ...]


def window(
    number: int,
    embedding: Vector | None,
    *,
    stream: str = "city",
    arrived_ms: int | None = None,
    model: ModelReference = MODEL,
) -> Result:
    """Return the result of a window of 2 s, whose records came while it went on unless said otherwise."""
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


def judged(recent: RecentWindows, result: Result) -> float | None:
    """Return the novelty of a window that is the same from beginning to end."""
    return recent.with_novelty(result, () if result.embedding is None else (result.embedding,)).novelty


def test_what_was_there_before_is_not_new() -> None:
    """However long ago among the remembered, and whatever came in between."""
    recent = RecentWindows(TTL_NS)
    said = [judged(recent, window(number, vector)) for number, vector in enumerate((EAST, EAST, NORTH, EAST, UP))]
    assert said == [None, 0, 1, 0, 1]


def test_a_revision_is_compared_with_what_came_before_its_window_and_is_not_remembered() -> None:
    """Else it would be like itself, and the same moment count twice."""
    recent = RecentWindows(TTL_NS)
    for number, vector in enumerate((EAST, NORTH, UP)):
        judged(recent, window(number, vector))
    late = window(1, UP)
    revised = late.model_copy(update={"revision": 1, "id": f"{late.window}/1"})

    assert judged(recent, revised) == 1
    assert judged(recent, revised.model_copy(update={"embedding": EAST})) == 0
    for number in range(3, 16):  # with it remembered, the first window would be forgotten by now
        judged(recent, window(number, NORTH))
    assert judged(recent, window(16, EAST)) == 0
    assert judged(RecentWindows(TTL_NS), revised) is None


def test_a_short_moment_makes_a_window_new() -> None:
    """The embedding of the whole lies near what was; one picture of it does not."""
    recent = RecentWindows(TTL_NS)
    judged(recent, window(0, EAST))
    mostly_the_same = (0.96, 0.28, 0.0)
    assert recent.with_novelty(window(1, mostly_the_same), (EAST, EAST, NORTH)).novelty == 1
    assert judged(recent, window(2, mostly_the_same)) == pytest.approx(0, abs=1e-4)


def test_streams_know_nothing_of_each_other() -> None:
    """What is old to one is not to the other."""
    recent = RecentWindows(TTL_NS)
    judged(recent, window(0, EAST, stream="one"))
    assert judged(recent, window(0, EAST, stream="two")) is None
    assert judged(recent, window(1, NORTH, stream="one")) == 1


def test_only_the_last_sixteen_windows_are_remembered() -> None:
    """What comes back after that is news again."""
    recent = RecentWindows(TTL_NS)
    judged(recent, window(0, EAST))
    for number in range(1, 16):
        judged(recent, window(number, NORTH))
    assert judged(recent, window(16, EAST)) == 0
    for number in range(17, 33):
        judged(recent, window(number, NORTH))
    assert judged(recent, window(33, EAST)) == 1


def test_windows_that_came_too_long_ago_do_not_count() -> None:
    """The tail that a restart reads need not hold them."""
    recent = RecentWindows(TTL_NS)
    judged(recent, window(0, EAST, arrived_ms=0))
    assert judged(recent, window(1, EAST, arrived_ms=TTL_MS + 1_899)) == 0
    assert judged(recent, window(2, EAST, arrived_ms=3 * TTL_MS)) is None


def test_vectors_of_another_model_are_not_compared() -> None:
    """They lie in another space."""
    recent = RecentWindows(TTL_NS)
    judged(recent, window(0, EAST))
    other = ModelReference(name="toy", version="2", sha256="b" * 64)
    assert judged(recent, window(1, EAST, model=other)) is None


def test_a_window_without_content_or_records_of_its_own_has_no_novelty() -> None:
    """Nor is it remembered."""
    recent = RecentWindows(TTL_NS)
    judged(recent, window(0, EAST))
    assert judged(recent, window(1, None)) is None
    held = window(2, NORTH).model_copy(update={"arrival_ms": Arrival()})
    assert judged(recent, held) is None
    assert judged(recent, window(3, NORTH)) == 1


@given(
    seed=st.integers(0, 2**32 - 1),
    streams=st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, max_size=60),
    pace_ms=st.sampled_from([100, 2_000, 60_000, 400_000]),
    crash=st.integers(0, 60),
)
def test_a_restart_anywhere_changes_no_novelty(seed: int, streams: list[str], pace_ms: int, crash: int) -> None:
    """Of any pace: the tail reaches back by the time to live from the oldest record that is not finished."""
    random = np.random.default_rng(seed)
    results = [
        window(number, tuple(random.standard_normal(3).tolist()), stream=stream, arrived_ms=number * pace_ms)
        for number, stream in enumerate(streams)
    ]
    undisturbed = RecentWindows(TTL_NS)
    expected = [judged(undisturbed, result) for result in results]
    oldest_unread_ms = min((result.arrival_ms.first or 0 for result in results[crash:]), default=0)
    again = RecentWindows(TTL_NS)
    for result in results[:crash]:
        if (result.arrival_ms.last or 0) >= oldest_unread_ms - TTL_MS:
            again.remember(result)
    assert [judged(again, result) for result in results[crash:]] == expected[crash:]
