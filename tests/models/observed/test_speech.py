"""Speech segments equal those of the original implementation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from silero_vad.utils_vad import get_speech_timestamps_from_probs

from triptych.models.observed.speech import speech_share, speech_spans

_NEAR_THE_THRESHOLDS = st.sampled_from([0.0, 0.34, 0.35, 0.4, 0.49, 0.5, 0.51, 1.0])
_RUNS = st.lists(st.tuples(_NEAR_THE_THRESHOLDS, st.integers(1, 14)), max_size=14)


@given(runs=_RUNS, missing=st.integers(0, 511))
def test_segments_equal_the_originals(runs: list[tuple[float, int]], missing: int) -> None:
    """For random probabilities and any length of the last step."""
    probabilities = [probability for probability, count in runs for _ in range(count)]
    samples = max(0, len(probabilities) * 512 - missing)
    original = get_speech_timestamps_from_probs(probabilities, audio_length_samples=samples)
    assert speech_spans(probabilities, samples) == [(span["start"], span["end"]) for span in original]


@pytest.mark.parametrize(
    ("probabilities", "share"),
    [([0.0] * 60, 0.0), ([0.9] * 60, 1.0), ([0.9] * 7 + [0.0] * 53, 0.0), ([0.0] * 30 + [0.9] * 30, 0.515625)],
    ids=["silence", "speech", "too short to be speech", "half, and the margin before it"],
)
def test_the_share_is_of_all_samples(probabilities: list[float], share: float) -> None:
    """The margins of 30 ms count as speech."""
    assert speech_share(probabilities, 60 * 512) == pytest.approx(share)
