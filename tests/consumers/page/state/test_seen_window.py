"""What is kept of a window, and how several become one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.consumers.page.state.seen_window import KeptCue, merged
from triptych.schemas.perception.objects import Detection
from triptych.schemas.results import Added, LabelScore, Observations, Revised, Words

if TYPE_CHECKING:
    from tests.consumers.page.state.conftest import ReadAs


def test_what_is_kept_is_what_the_result_says(read_as: ReadAs) -> None:
    """Long texts are cut."""
    start_ns = read_as(0).window.start_ns
    words = tuple(Words(text="x" * 9_000, start_ns=start_ns, end_ns=start_ns + 1) for _ in range(90))
    sound = (LabelScore(label="music", score=0.25),)
    seen = Observations(words=words, speech_share=0.5, loudness_lufs=-20.00001, language="en", sound=sound)
    window = read_as(0, observations=seen, novelty=0.3, fire=0.9).window
    assert (window.speech, window.music, window.loudness, window.novelty) == (0.5, 0.25, -20.0, 0.3)
    assert window.matches == {"fire": 0.9}
    assert window.words == (KeptCue("x" * 400, start_ns, generated=False),) * 12
    assert window.window_id == f"{start_ns}-{start_ns + 2_000_000_000}"


def test_the_time_of_the_picture_is_that_of_the_newest_detections(read_as: ReadAs) -> None:
    """So the boxes fit the picture."""
    start_ns = read_as(0).window.start_ns
    seen = [Detection(time_ns=start_ns + at, label="cat", score=0.9, box=(0, 0, 9, 9)) for at in (5, 7)]
    assert read_as(0, detections=tuple(seen), fire=0.9).window.picture_ns == start_ns + 7


def test_several_windows_are_one_by_the_rules_of_the_time_line(read_as: ReadAs) -> None:
    """Means of what is level, the highest of what stands out, and the window that says most for the rest."""
    seen = [Observations(speech_share=share) for share in (0.0, 1.0, None)]
    windows = [
        read_as(0, observations=seen[0], novelty=0.5).window,
        read_as(1, observations=seen[1], novelty=0.1, fire=0.7).window,
        read_as(2, observations=seen[2]).window,
    ]
    one = merged(windows)
    assert (one.from_ns, one.to_ns, one.windows) == (windows[0].start_ns, windows[2].end_ns, 3)
    assert (one.speech, one.novelty, one.matches) == (0.5, 0.5, {"fire": 0.7})
    assert one.window_id == windows[1].window_id
    assert one.offsets == (windows[0].place.offset, windows[2].place.offset)
    assert merged([one, windows[0]]).windows == 4


def test_a_revision_says_how_many_records_it_added(read_as: ReadAs) -> None:
    """The page lists the revisions of a window."""
    window = read_as(0, revision=2, revised=Revised(added=Added(video=3, subtitles=1))).window
    assert [(number, added) for number, _, _, added in window.revised] == [(2, 4)]
