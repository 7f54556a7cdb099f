"""Flags of technical quality: their limits, hysteresis, and independence of restarts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.publishing.test_novelty import TTL_NS, window
from triptych.schemas.names import result_id
from triptych.schemas.results import Quality, QualityFlag, Result
from triptych.worker.publishing.quality_flags import FlaggedView, QualityHistory, quality_flags

STREET, YARD = "0f0f33aa5577c1e2", "f0f0cc55aa883e1d"


def flags_of(*measured: Quality) -> list[tuple[QualityFlag, ...]]:
    """Return the flags of consecutive windows."""
    before: list[Quality] = []
    for each in measured:
        before.append(each.model_copy(update={"flags": quality_flags(each, [FlaggedView.of(past) for past in before])}))
    return [each.flags for each in before]


def published(number: int, quality: Quality | None, *, revision: int = 0, stream: str = "city") -> Result:
    """Return the result of window `number` with these measures."""
    result = window(number, None, stream=stream)
    name = result_id(stream, result.start_ns, result.end_ns, revision)
    return result.model_copy(update={"quality": quality, "revision": revision, "id": name})


@pytest.mark.parametrize(
    ("flag", "field", "values", "expected"),
    [
        ("black", "dark_share", (0.97, 0.98, 0.96, 0.94, 0.96), (False, True, True, False, False)),
        ("frozen", "change", (0.0005, 0.0002, 0.0009, 0.002, 0.0009), (False, True, True, False, False)),
        ("blurred", "sharpness", (0.15, 0.11, 0.17, 0.2, 0.17), (False, True, True, False, False)),
        ("silent", "level_dbfs", (-58.0, -61.0, -58.0, -50.0, -58.0), (False, True, True, False, False)),
        ("clipping", "clipped_share", (0.0005, 0.001, 0.0005, 0.0001, 0.0005), (False, True, True, False, False)),
    ],
)
def test_a_flag_begins_and_ends_at_different_limits(
    flag: QualityFlag, field: str, values: tuple[float, ...], expected: tuple[bool, ...]
) -> None:
    """Between the limits it stays as it was."""
    windows = [Quality.model_validate({field: value}) for value in values]
    assert [flag in flags for flags in flags_of(*windows)] == list(expected)


def test_a_window_without_the_measure_has_no_flag() -> None:
    """A gap of the video ends `frozen`."""
    assert flags_of(Quality(change=0.0), Quality(), Quality(change=0.0005)) == [("frozen",), (), ()]


def test_a_black_picture_has_no_other_flag_of_its_frames() -> None:
    """It is dark, still and without details, for one cause. Audio is judged by itself."""
    dark = Quality(dark_share=1.0, change=0.0, sharpness=0.01, layout=STREET, level_dbfs=-90.0)
    assert flags_of(dark) == [("black", "silent")]


def test_a_fixed_camera_that_shows_another_view_has_moved() -> None:
    """Until the new view has been there for four windows. A view that comes back at once is not moved again."""
    street, yard = Quality(layout=STREET), Quality(layout=YARD)
    moved = [("moved" in flags) for flags in flags_of(*[street] * 4, *[yard] * 6)]
    assert moved == [False] * 4 + [True] * 4 + [False] * 2
    assert not any(flags_of(*[street] * 4, yard, street, street)[5:])


def test_scenes_that_change_are_not_a_moved_camera() -> None:
    """No view lasts long enough to be that of a fixed camera."""
    assert not any(flags_of(*[Quality(layout=view) for view in (STREET, STREET, YARD) * 6]))


def test_black_windows_do_not_hide_the_view_before_them() -> None:
    """A camera that was covered and turned has moved."""
    dark = Quality(dark_share=1.0, layout="0" * 16)
    assert flags_of(*[Quality(layout=STREET)] * 4, dark, dark, Quality(layout=YARD, dark_share=0.0))[-1] == ("moved",)


def test_streams_do_not_share_a_history() -> None:
    """Each has its own last window."""
    history = QualityHistory(TTL_NS)
    first = history.with_flags(published(0, Quality(change=0.0)))
    other = history.with_flags(published(1, Quality(change=0.0005), stream="port"))
    assert first.quality is not None
    assert other.quality is not None
    assert (first.quality.flags, other.quality.flags) == (("frozen",), ())


def test_a_completed_window_takes_the_place_of_the_incomplete_one() -> None:
    """What followed the incomplete window is not compared with it any more."""
    history = QualityHistory(TTL_NS)
    history.with_flags(published(0, Quality(change=0.0)))
    completed = history.with_flags(published(0, Quality(change=0.3), revision=1))
    following = history.with_flags(published(1, Quality(change=0.0005)))
    assert completed.quality is not None
    assert following.quality is not None
    assert (completed.quality.flags, following.quality.flags) == ((), ())


def test_a_window_without_measures_is_passed_through() -> None:
    """Measuring is switched off, or there was no media."""
    result = published(0, None)
    assert QualityHistory(TTL_NS).with_flags(result) is result


MEASURES = st.builds(
    Quality,
    dark_share=st.sampled_from((None, 0.1, 0.96, 0.99)),
    change=st.sampled_from((None, 0.0, 0.0005, 0.2)),
    level_dbfs=st.sampled_from((None, -70.0, -57.0, -20.0)),
    layout=st.sampled_from((None, STREET, STREET, YARD)),
)


def test_a_layout_that_is_no_number_hides_nothing_else() -> None:
    """The results topic may have results of another program."""
    history = QualityHistory(TTL_NS)
    history.remember(published(0, Quality(layout="no number")))
    flagged = history.with_flags(published(1, Quality(level_dbfs=-90.0, layout="nor this"))).quality
    assert flagged is not None
    assert flagged.flags == ("silent",)


@given(st.lists(st.none() | MEASURES, min_size=1, max_size=24), st.data())
def test_a_restart_computes_the_same_flags(measures: list[Quality | None], data: st.DataObject) -> None:
    """From the published results before it."""
    undisturbed = QualityHistory(TTL_NS)
    expected = [undisturbed.with_flags(published(number, each)) for number, each in enumerate(measures)]
    crash = data.draw(st.integers(0, len(measures)))
    again = QualityHistory(TTL_NS)
    for result in expected[:crash]:
        again.remember(result)
    assert [again.with_flags(published(n, measures[n])) for n in range(crash, len(measures))] == expected[crash:]
