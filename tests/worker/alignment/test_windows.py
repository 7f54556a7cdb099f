"""Rules 12 to 17: what belongs to a window, when it closes and why, stand-ins, empty windows, bounds, forgetting."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.worker.alignment.script import CONFIG, Reading, Script, closed, decide, forgotten, late, ns, offsets, windows
from triptych.schemas.names import Modality
from triptych.schemas.results import State


def states(modality: Modality, script: Script, *, until: float) -> dict[float, State]:
    """Return the state of a modality in each window."""
    return {start: window.states[modality] for start, window in windows(decide(script.entries, until=until)).items()}


# --- rule 12: what belongs to a window --------------------------------------------------------------------------------


def test_a_frame_is_an_instant_and_chunks_and_cues_belong_to_all_they_overlap() -> None:
    """A frame at 2 s lies in [2, 4) alone; a chunk up to 2 s only in [0, 2); a cue across 2 s in both."""
    script = Script("video", "audio", "subtitles")
    script.video(2, at=100, watermark=4)
    script.audio(0, 2, at=100)
    script.audio(2, 4, at=100)
    script.cue(1.5, 2.5, at=100, watermark=4)
    made = windows(decide(script.entries, until=101))

    assert {start: offsets(window.items["video"]) for start, window in made.items()} == {0: [], 2: [0]}
    assert {start: offsets(window.items["audio"]) for start, window in made.items()} == {0: [0], 2: [1]}
    assert {start: offsets(window.items["subtitles"]) for start, window in made.items()} == {0: [0], 2: [0]}


def test_hopping_windows_share_their_items() -> None:
    """Windows of 2 s, one each second."""
    config = replace(CONFIG, hop_ns=ns(1))
    script = Script("video")
    for second in range(4):
        script.video(second, at=100, watermark=second + 1)
    made = windows(decide(script.entries, until=101, config=config))

    assert {start: offsets(window.items["video"]) for start, window in made.items()} == {
        0: [0, 1],
        1: [1, 2],
        2: [2, 3],
    }


def test_items_stand_in_a_window_in_the_order_of_event_time() -> None:
    """Whatever order they came in."""
    config = replace(CONFIG, out_of_orderness_ns={"video": ns(2)})
    script = Script("video")
    for start in (0.5, 1.5, 0, 1):
        script.video(start, at=100, watermark=4 if start == 1 else 3)
    made = windows(decide(script.entries, until=101, config=config))

    assert offsets(made[0].items["video"]) == [2, 0, 3, 1]


def test_a_cue_without_end_makes_no_windows_without_end() -> None:
    """A cue of 100,000 s counts for `max_cue`: here 6 s, so three windows, not 50,000."""
    config = replace(CONFIG, max_cue_ns=ns(6))
    script = Script("subtitles")
    script.cue(0, 100_000, at=100_000, watermark=1)
    script.end("subtitles", 1, at=100_000)

    assert closed(decide(script.entries, until=100_001, config=config)) == [(0, 2, "end"), (2, 4, "end"), (4, 6, "end")]


def test_a_span_of_nothing_is_an_instant() -> None:
    """A cue that ends where it starts, on the very edge of a window, stops nothing."""
    config = replace(CONFIG, max_empty=1)
    script = Script("video", "subtitles")
    script.video(0, at=100)
    script.cue(8, 8, at=100)
    script.end("video", 1, at=100)
    script.end("subtitles", 8, at=100.1)
    made = windows(decide(script.entries, until=101, config=replace(config, max_hold_ns=ns(1))))

    assert offsets(made[8].items["subtitles"]) == [0]
    assert made[8].skipped == 2


# --- rule 13: closing -------------------------------------------------------------------------------------------------


def test_windows_begin_at_the_earliest_item_not_at_the_first_record() -> None:
    """Audio began a minute before the video that came first."""
    script = Script("video", "audio")
    script.video(60, at=100, watermark=64)
    script.audio(0, 2, at=101)

    assert closed(decide(script.entries, until=102)) == [(0, 2, "progress")]


def test_progress_alone_opens_no_window() -> None:
    """Nothing was there to be seen."""
    script = Script("video")
    for second in range(30):
        script.progress("video", second, at=100 + second, watermark=second + 1)

    assert closed(decide(script.entries, until=400)) == []


def test_the_floor_never_goes_back() -> None:
    """What comes behind it opens no window again."""
    script = Script("video")
    script.video(10, at=100, watermark=12)
    behind = script.video(3, at=101, watermark=12)
    decisions = decide(script.entries, until=102)

    assert closed(decisions) == [(10, 12, "progress")]
    assert late(decisions) == [behind]


def test_windows_close_in_order_and_none_is_left_out() -> None:
    """Between the first and the last item there is a window for every span, empty or not."""
    script = Script("audio")
    script.audio(0, 1, at=100)
    script.audio(7, 8, at=107)

    assert [start for start, _, _ in closed(decide(script.entries, until=108))] == [0, 2, 4, 6]


def test_a_window_that_begins_at_the_furthest_media_time_stays_open() -> None:
    """Promises and ends do not close what nobody has reached."""
    script = Script("video")
    script.video(0, at=100)
    script.end("video", 60, at=100)

    assert closed(decide(script.entries, until=101)) == [(0, 2, "end")]


def closing(reason: str) -> Script:
    """Return a log whose window [0, 2) closes for `reason`."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=1)
    if reason == "progress":
        script.video(1, at=101, watermark=2)
        script.audio(0, 2, at=101)
    elif reason == "bound":
        script.audio(0, 1, at=101, size_bytes=2000)
    elif reason == "end":
        script.end("video", 1, at=101)
        script.end("audio", 1, at=101)
    elif reason == "quiet":
        script.end("audio", 1, at=101)
    elif reason == "idle":
        script.audio(0, 3, at=105)
    elif reason == "one ended short":
        script.end("video", 1, at=101)
        script.audio(0, 2, at=102)
    return script


@pytest.mark.parametrize(
    ("reason", "closed_by"),
    [
        ("progress", "progress"),
        ("bound", "bound"),
        ("end", "end"),
        ("quiet", "quiet"),
        ("idle", "idle"),
        ("one ended short", "end"),
    ],
)
def test_a_window_says_why_it_closed(reason: str, closed_by: str) -> None:
    """The first reason that applies, in the order of the rule."""
    config = replace(CONFIG, stream_max_bytes=1000)
    decisions = decide(closing(reason).entries, until=111, config=config)

    assert closed(decisions)[0] == (0, 2, closed_by)


@pytest.mark.parametrize("order", [("video", "subtitles"), ("subtitles", "video")])
def test_the_order_in_which_tracks_end_does_not_change_why_a_window_closed(order: tuple[Modality, Modality]) -> None:
    """Subtitles had promised half the window when they ended: that is the reason, whoever ended first."""
    script = Script("video", "subtitles")
    script.progress("subtitles", 1, at=100, watermark=1)
    script.video(0, at=100)
    script.video(1.9, at=100, watermark=2.1)
    script.end(order[0], 2.1, at=101)
    script.end(order[1], 2.1, at=102)

    assert closed(decide(script.entries, until=103)) == [(0, 2, "end")]


def test_an_idle_track_whose_own_promise_reached_the_end_is_not_the_reason() -> None:
    """Audio fell idle, but it had promised beyond the window: it closed by progress."""
    script = Script("video", "audio")
    script.audio(0, 3, at=100, watermark=4)
    script.video(0, at=105, watermark=1)
    script.video(2, at=112, watermark=4)

    assert closed(decide(script.entries, until=113)) == [(0, 2, "progress"), (2, 4, "progress")]


# --- rule 14: held pictures -------------------------------------------------------------------------------------------


def slides() -> Script:
    """Return a log of a picture at 1 s, another at 9 s, and sound throughout."""
    script = Script("video", "audio")
    for second in range(0, 30, 2):
        script.audio(second, second + 2, at=100 + second)
        if second in {0, 8}:
            script.video(second + 1, at=100 + second, watermark=second + 2)
        else:
            script.progress("video", second + 2, at=100 + second, watermark=second + 2)
    return script


def test_a_frame_stands_in_for_the_windows_after_it_that_have_none() -> None:
    """Until the next frame, and at most for `max_hold`."""
    made = windows(decide(slides().entries, until=129))
    held = {start: window.held.offset for start, window in made.items() if window.held is not None}

    assert held == {2: 0, 4: 0, 6: 0, 10: 4, 12: 4, 14: 4, 16: 4, 18: 4}
    assert made[4].states["video"] == "held"
    assert made[8].states["video"] == "present"
    assert made[20].states["video"] == "empty"


def test_a_held_picture_ends_with_max_hold() -> None:
    """A window that begins `max_hold` after the frame has none."""
    config = replace(CONFIG, max_hold_ns=ns(3))
    made = windows(decide(slides().entries, until=129, config=config))

    assert [start for start, window in made.items() if window.held is not None] == [2, 10]


# --- rule 15: empty windows -------------------------------------------------------------------------------------------


def test_the_state_of_a_modality_says_why_it_is_not_there() -> None:
    """Present, held, idle, empty or never announced."""
    script = Script("video", "audio")
    for second in range(0, 30, 2):
        script.video(second, at=100 + second, watermark=second + 2)
        if second < 4:
            script.audio(second, second + 1, at=100 + second, watermark=second + 2)
        elif second < 8:
            script.progress("audio", second + 2, at=100 + second, watermark=second + 2)
    audio = states("audio", script, until=129)

    assert [audio[start] for start in (0, 2, 4, 6, 8, 10)] == ["present", "present", "empty", "empty", "idle", "idle"]
    assert set(states("subtitles", script, until=129).values()) == {"absent"}


def test_one_decision_publishes_few_empty_windows_and_the_next_result_counts_the_rest() -> None:
    """A clock jump of an hour: five empty windows, then the one after the jump, which says how many were skipped."""
    script = Script("audio")
    script.audio(0, 2, at=100)
    script.audio(3600, 3602, at=101)
    decisions = decide(script.entries, until=102)

    assert [start for start, _, _ in closed(decisions)] == [0, 2, 4, 6, 8, 10, 3600]
    assert windows(decisions)[3600].skipped == (3600 - 12) / 2


def test_skipping_stops_where_the_decision_does() -> None:
    """A later decision publishes its own empty windows and says what was skipped before."""
    script = Script("audio")
    script.audio(0, 2, at=100)
    script.progress("audio", 60, at=101, watermark=60)
    script.progress("audio", 62, at=102, watermark=62)
    made = windows(decide(script.entries, until=103))

    assert list(made) == [0, 2, 4, 6, 8, 10, 60]
    assert made[60].skipped == 24


@pytest.mark.parametrize(("read_to", "promised"), [(30, 60), (60, 30)])
def test_skipping_goes_as_far_as_media_time_and_promises_do(read_to: float, promised: float) -> None:
    """Neither a far promise nor a far reading alone moves the floor."""
    script = Script("audio")
    script.audio(0, 2, at=100)
    script.progress("audio", read_to, at=101, watermark=promised)
    script.audio(30, 32, at=102, watermark=promised)
    decisions = decide(script.entries, until=112)

    assert late(decisions) == []
    assert windows(decisions)[30].skipped == 9


def test_a_long_quiet_stretch_read_bit_by_bit_is_published_bit_by_bit() -> None:
    """Nothing happened is not lost."""
    script = Script("audio")
    script.audio(0, 2, at=100)
    for second in range(2, 40, 2):
        script.progress("audio", second + 2, at=100 + second, watermark=second + 2)
    made = windows(decide(script.entries, until=139))

    assert list(made) == list(range(0, 40, 2))
    assert {window.skipped for window in made.values()} == {0}


# --- rule 16: the bound -----------------------------------------------------------------------------------------------


def test_at_a_streams_byte_bound_its_oldest_window_closes_as_it_is() -> None:
    """Audio is announced and slow; video would fill the memory."""
    config = replace(CONFIG, stream_max_bytes=45)
    script = Script("video", "audio")
    for second in range(6):
        script.video(second, at=100 + second, watermark=second + 1)
    decisions = decide(script.entries, until=106, config=config)

    assert closed(decisions) == [(0, 2, "bound"), (2, 4, "bound")]
    assert windows(decisions)[0].snapshot.clock_ns == ns(104)


def test_at_a_partitions_byte_bound_the_largest_stream_gives_way() -> None:
    """Many streams, each within its own bound."""
    config = replace(CONFIG, partition_max_bytes=65)
    script = Script("video", "audio")
    for second in range(4):
        script.video(second, at=100 + second, watermark=second + 1, stream="large")
    for second in range(3):
        script.video(second, at=104 + second, watermark=second + 1, stream="small")
    decisions = decide(script.entries, until=107, config=config)

    assert [window.stream for window in windows(decisions).values()] == ["large"]
    assert closed(decisions) == [(0, 2, "bound")]


def test_one_item_larger_than_the_bound_goes_through_alone() -> None:
    """It closes its window at once and is let go of, but for the picture that may stand in."""
    config = replace(CONFIG, stream_max_bytes=45)
    script = Script("video", "audio")
    script.video(0, at=100, size_bytes=1000)
    script.video(3, at=101, size_bytes=10)
    decisions = decide(script.entries, until=102, config=config)

    assert closed(decisions) == [(0, 2, "bound"), (2, 4, "bound")]


# --- rule 17: forgetting ----------------------------------------------------------------------------------------------


def test_a_stream_is_forgotten_its_ttl_after_its_last_closed_window() -> None:
    """By the arrival clock; what comes afterwards begins a new life with a new floor."""
    script = Script("video")
    script.video(10, at=100, watermark=12)
    script.video(0, at=701, watermark=2)
    decisions = decide(script.entries, until=702)

    assert forgotten(decisions) == ["city"]
    assert closed(decisions) == [(10, 12, "progress"), (0, 2, "progress")]
    assert late(decisions) == []


def test_a_closed_window_gives_a_stream_its_ttl_anew() -> None:
    """Counted from the window, not from the first record."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=1)
    for second in range(101, 300, 5):
        script.video(second / 1000, at=second, watermark=1 + second / 1000)
    script.end("video", 2, at=301)
    script.end("audio", 2, at=301)

    assert forgotten(decide(script.entries, until=901)) == []
    assert forgotten(decide(script.entries, until=901.1)) == ["city"]


def test_a_forgotten_stream_holds_no_memory_and_no_deadline() -> None:
    """Not even the picture that might have had to stand in."""
    script = Script("video")
    script.video(0, at=100)
    reading = Reading()
    reading.read(*script.entries)
    reading.ask(100)

    assert reading.aligner.held_bytes == 10

    reading.ask(2000)

    assert reading.aligner.held_bytes == 0
    assert reading.aligner.streams() == ()
    assert reading.aligner.next_wakeup().wall_ns is None


def test_late_records_do_not_keep_a_stream_from_being_forgotten() -> None:
    """A second pass of the same film is late, and late things are no life."""
    script = Script("video")
    script.video(10, at=100, watermark=12)
    for second in range(0, 700, 5):
        script.video(1, at=101 + second, watermark=12)
    decisions = decide(script.entries, until=802)

    assert forgotten(decisions) == ["city"]


def test_what_is_open_closes_as_quiet_when_its_stream_is_forgotten() -> None:
    """Video promised nothing beyond 1 s and keeps on saying something new, but never enough."""
    config = replace(CONFIG, stream_ttl_ns=ns(20))
    script = Script("video")
    script.video(0, at=100, watermark=1)
    for step in range(1, 5):
        script.video(step / 10, at=100 + 5 * step, watermark=1 + step / 10)
    decisions = decide(script.entries, until=121, config=config)

    assert closed(decisions) == [(0, 2, "quiet")]
    assert forgotten(decisions) == ["city"]


def test_a_stream_without_any_window_is_forgotten_its_ttl_after_its_first_record() -> None:
    """Progress alone holds nothing for ever."""
    script = Script("video")
    script.progress("video", 0, at=100, watermark=1)

    assert forgotten(decide(script.entries, until=700)) == []
    assert forgotten(decide(script.entries, until=700.1)) == ["city"]
