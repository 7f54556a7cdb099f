"""Comparing the results of two pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.consumers.comparison.compare import compare
from triptych.consumers.comparison.text import comparison_lines
from triptych.consumers.subscription.result_buffer import Delivery
from triptych.schemas.results import Observations

if TYPE_CHECKING:
    from tests.consumers.conftest import MakeResult
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
