"""What is shown again is not said again."""

from __future__ import annotations

from triptych.producers.subtitles.cue import Cue
from triptych.producers.subtitles.repeats import without_repeats

MS = 1_000_000


def shown(*cues: tuple[int, int, str]) -> list[tuple[int, int, str]]:
    """Return what is left of cues, with times in milliseconds."""
    left = without_repeats(Cue(start * MS, end * MS, text) for start, end, text in cues)
    return [(cue.start_ns // MS, cue.end_ns // MS, cue.text) for cue in left]


def test_each_line_of_rolling_captions_is_said_once() -> None:
    """As YouTube writes them: two lines, of which the upper one was the lower one."""
    assert shown(
        (1000, 2990, "A"), (2990, 3000, "A"), (3000, 4990, "A\nB"), (4990, 5000, "B"), (5000, 7000, "B\nC")
    ) == [(1000, 3000, "A"), (3000, 5000, "B"), (5000, 7000, "C")]


def test_three_lines_roll_up_like_two() -> None:
    """As broadcasters show them."""
    assert shown((0, 1000, "A\nB\nC"), (1000, 2000, "B\nC\nD"), (2040, 3000, "C\nD\nE")) == [
        (0, 1000, "A\nB\nC"),
        (1000, 2000, "D"),
        (2040, 3000, "E"),
    ]


def test_signs_in_layers_are_one() -> None:
    """Also with another cue between them."""
    assert shown((0, 5000, "SIGN"), (0, 5000, "SIGN"), (1000, 2000, "Hi"), (1500, 5000, "SIGN")) == [
        (0, 5000, "SIGN"),
        (1000, 2000, "Hi"),
    ]


def test_some_lines_of_a_cue_that_is_shown_say_nothing_new() -> None:
    """The upper ones too, and in another order."""
    assert shown((0, 3000, "A\nB\nC"), (1000, 2000, "A\nB"), (1000, 2500, "B\nA")) == [(0, 3000, "A\nB\nC")]


def test_a_cue_that_is_shown_on_lasts_as_long() -> None:
    """It was cut in two."""
    assert shown((0, 1000, "A"), (1000, 3000, "A")) == [(0, 3000, "A")]


def test_a_line_that_comes_back_is_said_again() -> None:
    """After it was gone for a while, or between others."""
    assert len(shown((0, 1000, "No."), (1100, 2000, "No."))) == 2
    assert len(shown((0, 1000, "No."), (1000, 2000, "Yes."), (2000, 3000, "No."))) == 3


def test_other_cues_that_overlap_stay() -> None:
    """Two people speak."""
    assert len(shown((0, 2000, "A"), (1000, 3000, "B"))) == 2
    assert shown((0, 2000, "A\nB"), (2000, 3000, "C\nB")) == [(0, 2000, "A\nB"), (2000, 3000, "C\nB")]
