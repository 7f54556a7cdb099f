"""Windows ranked by a text."""

from __future__ import annotations

import numpy as np
import pytest

from triptych.models.prediction import WindowVectors
from triptych.models.spaces.ranking import rank_windows

EAST, NORTH = np.eye(2, dtype=np.float32)
BETWEEN = np.asarray([0.6, 0.8], np.float32)


def test_the_nearest_window_comes_first_with_its_scores_by_modality() -> None:
    """Windows without vectors are left out; a missing modality has no score."""
    windows = [
        WindowVectors("space", NORTH, subtitles=NORTH),
        None,
        WindowVectors("space", BETWEEN, video=EAST, audio=NORTH, frames=np.stack([NORTH, EAST, BETWEEN])),
    ]
    first, last = rank_windows(EAST, windows)
    assert (first.window, first.fused, first.video, first.audio) == (2, pytest.approx(0.6), 1, 0)
    assert (first.subtitles, first.frame) == (None, 1)
    assert (first.best, last.best) == (1, 0)
    assert (last.window, last.fused, last.video, last.subtitles, last.frame) == (0, 0, None, 0, None)


def test_equal_windows_stay_in_order() -> None:
    """The earlier one comes first."""
    assert [score.window for score in rank_windows(EAST, [WindowVectors("space", NORTH)] * 3)] == [0, 1, 2]
