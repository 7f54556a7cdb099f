"""Choosing frames by time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from triptych.worker.media.selection import choose_evenly

SPAN = 2_000
TIMES = st.lists(st.integers(0, SPAN - 1), max_size=40).map(sorted)
COUNTS = st.integers(1, 8)


def choose(times: list[int], count: int, *, broken: frozenset[int] = frozenset()) -> tuple[int, ...]:
    """Choose within a span that begins at 0."""
    return choose_evenly(times, lambda index: index not in broken, start_ns=0, end_ns=SPAN, count=count)


def test_frames_nearest_to_the_centres_of_equal_parts_are_chosen() -> None:
    """Of 20 frames four are wanted: centres 250, 750, 1250 and 1750."""
    assert choose(list(range(0, SPAN, 100)), 4) == (2, 7, 12, 17)


def test_the_window_begins_where_it_says() -> None:
    """The same frames far from zero are chosen alike, to the nanosecond."""
    start_ns = 1_767_225_600_000_000_001
    times = [start_ns + at for at in range(0, SPAN, 100)]
    chosen = choose_evenly(times, lambda _: True, start_ns=start_ns, end_ns=start_ns + SPAN, count=4)
    assert chosen == (2, 7, 12, 17)


def test_a_burst_in_one_part_still_fills_every_place() -> None:
    """No frame is chosen twice; what is nearest of the rest stands in."""
    assert choose([0, 10, 20, 30, 40, 1_990], 4) == (2, 3, 4, 5)


def test_another_takes_the_place_of_a_frame_that_cannot_be_used() -> None:
    """The next nearest to the same centre."""
    assert choose(list(range(0, SPAN, 100)), 4, broken=frozenset({7})) == (2, 8, 12, 17)


def test_of_two_equally_near_the_earlier_is_chosen() -> None:
    """One frame is wanted, two lie at 10 from the centre."""
    assert choose([990, 1_010], 1) == (0,)


@given(TIMES, COUNTS)
def test_as_many_as_there_are_or_as_are_wanted_are_chosen_once_each_in_order(times: list[int], count: int) -> None:
    """No repeats, no disorder, no shortage."""
    chosen = choose(times, count)
    assert len(chosen) == min(count, len(times))
    assert len(set(chosen)) == len(chosen)
    assert [times[index] for index in chosen] == sorted(times[index] for index in chosen)


@given(TIMES, COUNTS, st.frozensets(st.integers(0, 39)))
def test_a_frame_is_asked_about_only_until_all_places_are_filled(
    times: list[int], count: int, broken: frozenset[int]
) -> None:
    """Every frame asked about is chosen or broken, and none that could be used is left out while a place is free."""
    asked: list[int] = []

    def usable(index: int) -> bool:
        asked.append(index)
        return index not in broken

    chosen = choose_evenly(times, usable, start_ns=0, end_ns=SPAN, count=count)
    assert len(asked) == len(set(asked))
    assert set(asked) - broken == set(chosen)
    assert len(chosen) == min(count, len(set(range(len(times))) - broken))


@given(st.integers(8, 40), COUNTS)
def test_of_evenly_spaced_frames_one_lies_in_each_part(frames: int, count: int) -> None:
    """What the model sees covers the whole span."""
    times = [(2 * index + 1) * SPAN // (2 * frames) for index in range(frames)]
    chosen = choose(times, count)
    assert [times[index] * count // SPAN for index in chosen] == list(range(count))
