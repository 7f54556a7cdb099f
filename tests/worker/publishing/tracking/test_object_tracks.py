"""Tracks of objects over the windows of a stream, and their independence of restarts and revisions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.publishing.test_novelty import MODEL, SECOND, TTL_MS, TTL_NS, window
from triptych.models.prediction import PredictedDetection
from triptych.schemas.codec import parse_result
from triptych.schemas.names import result_id
from triptych.schemas.results import ModelReference, Result
from triptych.worker.publishing.tracking.counts import count_objects, published_detections
from triptych.worker.publishing.tracking.object_tracks import TrackHistory

Seen = tuple[str, float]
"""Label and horizontal place of an object, which is 40 wide and 100 high."""


def shown(number: int, *pictures: tuple[Seen, ...], stream: str = "city", arrived_ms: int | None = None) -> Result:
    """Return the result, still without tracks, of window `number` of 2 s whose pictures show these objects."""
    result = window(number, None, stream=stream, arrived_ms=arrived_ms)
    times_ns = [result.start_ns + (2 * at + 1) * SECOND // len(pictures) for at in range(len(pictures))]
    detections = [
        PredictedDetection(time_ns, label, 0.5, (x - 20, 50, x + 20, 150))
        for time_ns, objects in zip(times_ns, pictures, strict=True)
        for label, x in objects
    ]
    update = {
        "detections": published_detections(detections),
        "counts": count_objects(detections, times_ns) if pictures else None,
    }
    return result.model_copy(update=update)


def revised(result: Result, revision: int = 1) -> Result:
    """Return a result as a revision."""
    name = result_id(result.stream, result.start_ns, result.end_ns, revision)
    return result.model_copy(update={"revision": revision, "id": name})


def tracks_of(result: Result) -> list[int | None]:
    """Return the tracks of the detections, in their order."""
    return [detection.track for detection in result.detections]


def flow_of(result: Result, label: str) -> tuple[int, int, int]:
    """Return how many tracks of a label entered, left and have passed."""
    assert result.counts is not None
    counted = result.counts[label]
    return counted.entered, counted.left, counted.passages


def followed(*results: Result) -> list[Result]:
    """Return the results of consecutive windows with their tracks."""
    history = TrackHistory(TTL_NS)
    return [history.with_tracks(result) for result in results]


def test_an_object_keeps_its_track_over_pictures_and_windows() -> None:
    """A person walks, one picture a window; another stands still, with three pictures a window."""
    walker = followed(*(shown(number, (("person", 100 + 80 * number),)) for number in range(4)))
    assert [tracks_of(result) for result in walker] == [[1]] * 4
    assert [flow_of(result, "person") for result in walker] == [(1, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0)]
    standing = followed(*(shown(number, *[(("person", 100),)] * 3) for number in range(3)))
    assert [tracks_of(result) for result in standing] == [[1, 1, 1]] * 3


def test_objects_enter_leave_and_pass() -> None:
    """A track has left when it was missing for two windows and 3 s; its label keeps the count of passages."""
    results = followed(
        shown(0, (("person", 100), ("person", 400))),
        shown(1, (("person", 100),)),
        shown(2, (("person", 100), ("dog", 300))),
        shown(3, (("person", 100),)),
        shown(4, ()),
        shown(5, ()),
    )
    assert [tracks_of(result) for result in results] == [[1, 2], [1], [1, 3], [1], [], []]
    assert [flow_of(result, "person") for result in results] == [
        *[(2, 0, 0), (0, 0, 0), (0, 1, 1), (0, 0, 1), (0, 0, 1), (0, 1, 2)]
    ]
    assert flow_of(results[4], "dog") == (0, 1, 1)
    assert results[5].counts is not None
    assert results[5].counts["person"].largest == 0


def test_a_short_absence_ends_no_track() -> None:
    """The detector misses an object now and then."""
    results = followed(shown(0, (("car", 100),)), shown(1, ()), shown(2, (("car", 110),)))
    assert [tracks_of(result) for result in results] == [[1], [], [1]]


def test_a_track_ends_after_a_gap_without_pictures() -> None:
    """Windows without video do not count as missing it, but time does."""
    short = followed(shown(0, (("car", 100),)), shown(1), shown(2), shown(3, (("car", 100),)))
    assert [tracks_of(result) for result in short] == [[1], [], [], [1]]
    assert short[1] == shown(1)
    long = followed(shown(0, (("car", 100),)), *map(shown, range(1, 7)), shown(7, (("car", 100),)))
    assert tracks_of(long[-1]) == [2]
    assert flow_of(long[-1], "car") == (1, 1, 1)


def test_another_model_begins_new_tracks() -> None:
    """It may see other things in the same place. Numbers are not used again."""
    other = ModelReference(name="toy", version="2", sha256="b" * 64)
    history = TrackHistory(TTL_NS)
    history.with_tracks(shown(0, (("person", 100), ("person", 300))))
    after = history.with_tracks(shown(1, (("person", 100),)).model_copy(update={"model": other}))
    assert tracks_of(after) == [3]
    assert flow_of(after, "person") == (1, 2, 2)
    back = history.with_tracks(shown(2, (("person", 100),)).model_copy(update={"model": MODEL}))
    assert tracks_of(back) == [4]


def test_streams_have_tracks_of_their_own() -> None:
    """Each is numbered from 1."""
    history = TrackHistory(TTL_NS)
    history.with_tracks(shown(0, (("person", 100), ("person", 300)), stream="one"))
    assert tracks_of(history.with_tracks(shown(0, (("person", 100),), stream="two"))) == [1]


def test_a_stream_begins_anew_after_its_ttl() -> None:
    """The tail that a restart reads may not contain what was before."""
    history = TrackHistory(TTL_NS)
    history.with_tracks(shown(0, (("person", 100),), arrived_ms=0))
    again = history.with_tracks(shown(1, (("person", 100),), arrived_ms=TTL_MS + 1_901))
    assert (tracks_of(again), flow_of(again, "person")) == ([1], (1, 0, 0))


def test_a_picture_that_two_overlapping_windows_show_is_followed_once() -> None:
    """The second half of one window is the first of the next."""
    first = shown(0, (("person", 100),), (("person", 150), ("person", 90)))
    second = shown(1, (("person", 150), ("person", 90)), (("person", 200), ("person", 80)))
    early = {"start_ns": SECOND, "end_ns": 3 * SECOND, "id": result_id("city", SECOND, 3 * SECOND, 0)}
    moved = tuple(each.model_copy(update={"time_ns": each.time_ns - SECOND}) for each in second.detections)
    results = followed(first, second.model_copy(update=early | {"detections": moved}))
    numbers = tracks_of(results[0])
    assert tracks_of(results[1])[:2] == numbers[1:]
    assert flow_of(results[1], "person") == (0, 0, 0)


def test_a_revision_keeps_the_tracks_of_its_window_and_begins_none() -> None:
    """Later windows have given the next numbers away. A detection that no track fits has none."""
    history = TrackHistory(TTL_NS)
    history.with_tracks(shown(0, (("person", 100),)))
    original = history.with_tracks(shown(1, (("person", 120), ("dog", 400))))
    history.with_tracks(shown(2, (("person", 140), ("car", 600))))

    again = history.with_tracks(revised(shown(1, (("person", 122), ("dog", 401), ("cat", 900)))))
    assert tracks_of(again) == [1, 2, None]
    assert (flow_of(again, "dog"), flow_of(original, "dog"), flow_of(again, "cat")) == ((1, 0, 0), (1, 0, 0), (0, 0, 0))


def test_a_revision_disturbs_no_later_window() -> None:
    """Whatever it shows, and whether or not its window had pictures before."""
    windows = [shown(0, (("person", 100),)), shown(1), shown(2, (("person", 140),)), shown(3, (("dog", 300),))]
    expected = followed(*windows, shown(4, (("person", 150), ("dog", 300))))
    history = TrackHistory(TTL_NS)
    for result in windows:
        history.with_tracks(result)
    filled = history.with_tracks(revised(shown(1, (("person", 120), ("cat", 500)))))
    assert tracks_of(filled) == [1, None]
    history.with_tracks(revised(shown(3, ())))
    assert history.with_tracks(shown(4, (("person", 150), ("dog", 300)))) == expected[-1]


def test_a_held_picture_without_records_has_counts_only() -> None:
    """Such a window has no arrival time, by which a restart could find what was before it."""
    held = shown(0, (("person", 100),)).model_copy(
        update={"arrival_ms": window(0, None).arrival_ms.model_copy(update={"first": None, "last": None})}
    )
    assert followed(held) == [held]


def random_windows(seed: int, streams: list[str], pace_ms: int) -> list[Result]:
    """Return windows with objects that wander about, vanish and come back, and some without pictures."""
    random = np.random.default_rng(seed)
    places = {(stream, label, at): random.uniform(0, 600) for stream in "abc" for label in "xy" for at in range(2)}
    results = []
    for number, stream in enumerate(streams):
        pictures = []
        for _ in range(random.integers(0, 3)):
            for key in places:
                places[key] += random.normal(0, 30)
            pictures.append(
                tuple((key[1], x) for key, x in places.items() if key[0] == stream and random.random() < 0.6)
            )
        results.append(shown(number, *pictures, stream=stream, arrived_ms=number * pace_ms))
    return results


@given(
    seed=st.integers(0, 2**32 - 1),
    streams=st.lists(st.sampled_from("abc"), min_size=1, max_size=60),
    pace_ms=st.sampled_from([100, 2_000, 60_000, 400_000]),
    crash=st.integers(0, 60),
    late=st.lists(st.integers(0, 59), max_size=4),
)
def test_a_restart_anywhere_changes_no_track(
    seed: int, streams: list[str], pace_ms: int, crash: int, late: list[int]
) -> None:
    """Also with revisions: the tail goes back by one TTL from the oldest unfinished record. Results pass the wire."""
    results = random_windows(seed, streams, pace_ms)
    results += [revised(results[at], number + 1) for number, at in enumerate(late) if at < len(results)]
    undisturbed = TrackHistory(TTL_NS)
    expected = [undisturbed.with_tracks(result) for result in results]
    oldest_unread_ms = min((result.arrival_ms.first or 0 for result in results[crash:]), default=0)
    again = TrackHistory(TTL_NS)
    for result in expected[:crash]:
        if (result.arrival_ms.last or 0) >= oldest_unread_ms - TTL_MS:
            again.remember(parse_result(result.model_dump_json().encode()))
    assert [again.with_tracks(result) for result in results[crash:]] == expected[crash:]


@pytest.mark.parametrize("hundredths", [10, 100, 400])
def test_numbers_are_never_used_twice(hundredths: int) -> None:
    """Each new track takes the next number, also in windows so short that tracks are forgotten before they end."""
    random = np.random.default_rng(hundredths)
    history = TrackHistory(TTL_NS)
    given: list[int] = []
    for number in range(300):
        place = float(random.uniform(0, 10_000)) if random.random() < 0.3 else None
        result = shown(number, () if place is None else (("person", place),))
        start_ns, length_ns = number * hundredths * SECOND // 100, hundredths * SECOND // 100
        moved = [each.model_copy(update={"time_ns": start_ns}) for each in result.detections]
        update = {"start_ns": start_ns, "end_ns": start_ns + length_ns, "detections": tuple(moved)}
        given += [each or 0 for each in tracks_of(history.with_tracks(result.model_copy(update=update)))]
    new = [number for at, number in enumerate(given) if number not in given[:at]]
    assert new == list(range(1, len(new) + 1))
    assert len(new) > 60
