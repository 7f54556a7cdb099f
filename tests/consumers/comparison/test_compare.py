"""Comparing the results of two pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.consumers.conftest import START_NS
from triptych.consumers.comparison.compare import compare
from triptych.consumers.comparison.overlap import compare_overlapping
from triptych.consumers.comparison.text import comparison_lines
from triptych.consumers.subscription.last_revisions import last_revisions
from triptych.consumers.subscription.result_buffer import Delivery
from triptych.schemas.names import result_id
from triptych.schemas.results import Observations
from triptych.units import NS_PER_S as SECOND

if TYPE_CHECKING:
    from tests.consumers.conftest import Bench, MakeResult
    from triptych.schemas.results import Result


def delivered(*results: Result) -> list[Delivery]:
    """Return results as deliveries."""
    return [Delivery(result, result.model_dump_json().encode()) for result in results]


def test_equal_runs_are_equal(make_result: MakeResult) -> None:
    """In any order, with any publication times, within the tolerance."""
    left = [make_result(number, stream) for number in range(5) for stream in "ab"]
    right = [
        make_result(number, stream, published_ns=1, stage_ms={"infer": 1}) for stream in "ba" for number in range(5)
    ]
    outcome = compare(delivered(*left), delivered(*right), tolerance=1e-4)
    assert outcome.equal
    assert outcome.same == 10
    near = make_result(0, observations=Observations(speech_share=0.50005))
    far = make_result(0, observations=Observations(speech_share=0.5))
    assert compare(delivered(near), delivered(far), tolerance=1e-4).equal
    assert not compare(delivered(near), delivered(far), tolerance=1e-5).equal


def test_each_difference_is_listed_with_its_largest_example(make_result: MakeResult) -> None:
    """Windows that one side lacks; fields with how often and by how much they differ."""
    left = [make_result(number, observations=Observations(speech_share=0.5, language="eng")) for number in range(3)]
    right = [make_result(number, observations=Observations(speech_share=0.5 + number / 10)) for number in range(1, 4)]
    outcome = compare(delivered(*left), delivered(*right), tolerance=1e-4)
    assert not outcome.equal
    assert (outcome.same, outcome.differing) == (0, 2)
    assert outcome.only_left == [make_result(0).id]
    assert outcome.only_right == [make_result(3).id]
    share = outcome.fields["observations.speech_share"]
    assert share.results == 2
    assert share.largest is not None
    assert abs(share.largest - 0.2) < 1e-9
    assert outcome.fields["observations.language"].largest is None
    lines = list(comparison_lines(outcome, "old", "new"))
    assert lines[0] == "0 windows equal, 2 differ"
    assert f"only old: 1 windows, the first is {make_result(0).id}" in lines
    assert f'  {make_result(1).id} observations.language: "eng" | null' in lines


def test_lists_of_different_lengths_and_unknown_fields_differ(make_result: MakeResult) -> None:
    """A field that only one side has is a difference."""
    [one] = delivered(make_result(0))
    newer = Delivery(one.result, one.document[:-1] + b',"mood":"calm"}')
    outcome = compare([one], [newer], tolerance=0)
    assert outcome.fields["mood"].example is not None
    silent = make_result(0, observations=Observations(speech_share=0.83, loudness_lufs=-21.4))
    outcome = compare([one], delivered(silent), tolerance=0)
    assert set(outcome.fields) == {"observations.visual", "observations.words"}


def spanning(made: Result, start_s: float, seconds: float, **observed: Any) -> Result:  # noqa: ANN401 - observations
    """Return the result for a window at these seconds after the first one."""
    start_ns = START_NS + round(start_s * SECOND)
    end_ns = start_ns + round(seconds * SECOND)
    observations = made.observations.model_copy(update=observed)
    name = result_id(made.stream, start_ns, end_ns, 0)
    return made.model_copy(update={"id": name, "start_ns": start_ns, "end_ns": end_ns, "observations": observations})


def test_windows_of_other_lengths_are_compared_by_overlap(make_result: MakeResult) -> None:
    """Each with the one that overlaps it most, the first of equals, in what does not depend on the length."""
    made = make_result(0)
    left = [spanning(made, 0, 2, speech_share=0.5), spanning(made, 2, 2, speech_share=0.9)]
    right = [
        spanning(made, 0, 1, speech_share=0.5),
        spanning(made, 1, 1, speech_share=0.8),
        spanning(made, 2, 1, speech_share=0.6, language="eng"),
        spanning(made, 30, 1),
    ]
    outcome = compare(delivered(*left), delivered(*right), tolerance=1e-4)
    assert not outcome.equal
    assert (outcome.overlap.pairs, outcome.overlap.same) == (2, 1)
    share = outcome.overlap.fields["observations.speech_share"]
    assert share.results == 1
    assert share.largest == pytest.approx(0.3)
    assert set(outcome.overlap.fields) == {"observations.speech_share", "observations.language"}
    lines = list(comparison_lines(outcome, "old", "new"))
    assert lines[3].startswith("old has windows of 2 s, new of 1 s: compared by overlap")
    assert lines[4] == "2 windows of old with the window of new that overlaps it most: 1 alike"
    assert "observations.speech_share: differs in 1 windows, by 0.3 at most" in lines


@pytest.mark.parametrize(("length", "at"), [(1.5, 0.7), (3, -1), (10, -4), (2.1, 0)])
def test_any_lengths_and_offsets_find_the_largest_overlap(make_result: MakeResult, length: float, at: float) -> None:
    """As a search through all pairs does."""
    made = make_result(0)
    left = [spanning(made, 2 * number, 2, speech_share=number / 100) for number in range(20)]
    right = [spanning(made, at + length * number, length, speech_share=number / 100) for number in range(20)]
    found = compare_overlapping(left, right, tolerance=0)

    def overlap(one: Result, other: Result) -> int:
        return min(one.end_ns, other.end_ns) - max(one.start_ns, other.start_ns)

    best = [max(right, key=lambda other: (overlap(one, other), -other.start_ns)) for one in left]
    pairs = [(one, other) for one, other in zip(left, best, strict=True) if overlap(one, other) > 0]
    assert found.pairs == len(pairs)
    assert found.same == sum(one.observations == other.observations for one, other in pairs)


def test_pipelines_of_other_times_say_that_nothing_overlaps(make_result: MakeResult) -> None:
    """And windows of one length are not compared by overlap."""
    made = make_result(0)
    outcome = compare(delivered(spanning(made, 0, 2)), delivered(spanning(made, 60, 1)), tolerance=0)
    assert "no windows of the same stream overlap" in list(comparison_lines(outcome, "old", "new"))[-1]
    same = compare(delivered(make_result(0)), delivered(make_result(1)), tolerance=0)
    assert not same.overlap.is_of_other_windows
    assert len(list(comparison_lines(same, "old", "new"))) == 3


def test_of_a_window_that_was_completed_the_last_revision_is_compared(
    memory_bench: Bench, make_result: MakeResult
) -> None:
    """After an outage, one side has a hollow result and then a complete one; the other was not disturbed."""
    undisturbed = [make_result(number) for number in range(3)]
    hollow = make_result(1, closed_by="progress", observations=Observations(), revisable_until_ns=START_NS)
    window = {"id": f"{hollow.window}/1", "revision": 1, "revised": {"added": {"video": 8}}}
    memory_bench.publish(undisturbed[0], hollow, undisturbed[2], make_result(1, **window))

    with memory_bench.subscriber() as subscriber:
        final = list(last_revisions(subscriber))
    for sides in ((final, delivered(*undisturbed)), (delivered(*undisturbed), final)):
        outcome = compare(*sides, tolerance=0)
        assert outcome.equal
        assert outcome.same == 3

    unfinished = compare(delivered(undisturbed[0], hollow, undisturbed[2]), delivered(*undisturbed), tolerance=0)
    assert (unfinished.same, unfinished.differing) == (2, 1)
