"""Selecting frames by time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from triptych.worker.media.selection import choose_evenly

SPAN = 2_000
TIMES = st.lists(st.integers(0, SPAN - 1), max_size=40).map(sorted)
COUNTS = st.integers(1, 8)


def choose(times: list[int], count: int, *, broken: frozenset[int] = frozenset()) -> tuple[int, ...]:
    """Select from a window that starts at 0."""
    return choose_evenly(times, lambda index: index not in broken, start_ns=0, end_ns=SPAN, count=count)


def test_frames_nearest_to_the_centres_of_equal_parts_are_chosen() -> None:
    """Four of 20 frames: the centres are 250, 750, 1250 and 1750."""
    assert choose(list(range(0, SPAN, 100)), 4) == (2, 7, 12, 17)


def test_the_selection_does_not_depend_on_the_start_of_the_window() -> None:
    """Times far from zero do not lose precision."""
    start_ns = 1_767_225_600_000_000_001
    times = [start_ns + at for at in range(0, SPAN, 100)]
    chosen = choose_evenly(times, lambda _: True, start_ns=start_ns, end_ns=start_ns + SPAN, count=4)
    assert chosen == (2, 7, 12, 17)


def test_frames_from_other_parts_fill_an_empty_part() -> None:
    """No frame is selected twice; the nearest of the rest is used."""
    assert choose([0, 10, 20, 30, 40, 1_990], 4) == (2, 3, 4, 5)


def test_an_unusable_frame_is_replaced_by_the_next_nearest() -> None:
    """Frame 7 is unusable."""
    assert choose(list(range(0, SPAN, 100)), 4, broken=frozenset({7})) == (2, 8, 12, 17)


def test_the_earlier_of_two_equally_near_frames_is_chosen() -> None:
    """Both are 10 ns from the centre."""
    assert choose([990, 1_010], 1) == (0,)


@given(TIMES, COUNTS)
def test_as_many_frames_as_possible_are_chosen_in_order_without_repeats(times: list[int], count: int) -> None:
    """That is `count`, or all of them if there are fewer."""
    chosen = choose(times, count)
    assert len(chosen) == min(count, len(times))
    assert len(set(chosen)) == len(chosen)
    assert [times[index] for index in chosen] == sorted(times[index] for index in chosen)


@given(TIMES, COUNTS, st.frozensets(st.integers(0, 39)))
def test_usable_is_called_only_until_enough_frames_are_found(
    times: list[int], count: int, broken: frozenset[int]
) -> None:
    """Each frame that is tried is selected or broken, and no usable frame is left out if more are wanted."""
    asked: list[int] = []

    def usable(index: int) -> bool:
        asked.append(index)
        return index not in broken

    chosen = choose_evenly(times, usable, start_ns=0, end_ns=SPAN, count=count)
    assert len(asked) == len(set(asked))
    assert set(asked) - broken == set(chosen)
    assert len(chosen) == min(count, len(set(range(len(times))) - broken))


@given(st.integers(8, 40), COUNTS)
def test_one_of_evenly_spaced_frames_is_chosen_from_each_part(frames: int, count: int) -> None:
    """The selected frames cover the whole window."""
    times = [(2 * index + 1) * SPAN // (2 * frames) for index in range(frames)]
    chosen = choose(times, count)
    assert [times[index] * count // SPAN for index in chosen] == list(range(count))
