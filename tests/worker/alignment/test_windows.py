"""Alignment rules 12 to 17: assignment to windows, closing, held frames, empty windows, the byte bound, forgetting."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.worker.alignment.script import (
    BY_ARRIVAL,
    CONFIG,
    Reading,
    Script,
    closed,
    decide,
    forgotten,
    late,
    ns,
    offsets,
    windows,
)
from triptych.schemas.names import Modality
from triptych.schemas.results import State


def states(modality: Modality, script: Script, *, until: float) -> dict[float, State]:
    """Return the state of a modality in each window."""
    return {start: window.states[modality] for start, window in windows(decide(script.entries, until=until)).items()}


# --- rule 12: assignment ----------------------------------------------------------------------------------------------


def test_an_item_belongs_to_each_window_that_it_overlaps() -> None:
    """A frame at 2 s is only in [2, 4), a chunk up to 2 s only in [0, 2), a cue across 2 s in both."""
    script = Script("video", "audio", "subtitles")
    script.video(2, at=100, watermark=4)
    script.audio(0, 2, at=100)
    script.audio(2, 4, at=100)
    script.cue(1.5, 2.5, at=100, watermark=4)
    closed_windows = windows(decide(script.entries, until=101))

    assert {start: offsets(window.items["video"]) for start, window in closed_windows.items()} == {0: [], 2: [0]}
    assert {start: offsets(window.items["audio"]) for start, window in closed_windows.items()} == {0: [0], 2: [1]}
    assert {start: offsets(window.items["subtitles"]) for start, window in closed_windows.items()} == {0: [0], 2: [0]}


def test_hopping_windows_share_items() -> None:
    """Windows of 2 s start every second."""
    config = replace(CONFIG, hop_ns=ns(1))
    script = Script("video")
    for second in range(4):
        script.video(second, at=100, watermark=second + 1)
    closed_windows = windows(decide(script.entries, until=101, config=config))

    assert {start: offsets(window.items["video"]) for start, window in closed_windows.items()} == {
        0: [0, 1],
        1: [1, 2],
        2: [2, 3],
    }


def test_the_items_of_a_window_are_in_the_order_of_event_time() -> None:
    """In whatever order they arrive."""
    config = replace(CONFIG, out_of_orderness_ns={"video": ns(2)})
    script = Script("video")
    for start in (0.5, 1.5, 0, 1):
        script.video(start, at=100, watermark=4 if start == 1 else 3)
    closed_windows = windows(decide(script.entries, until=101, config=config))

    assert offsets(closed_windows[0].items["video"]) == [2, 0, 3, 1]


def test_a_cue_is_limited_to_max_cue() -> None:
    """A cue of 100,000 s counts as 6 s here: three windows instead of 50,000."""
    config = replace(CONFIG, max_cue_ns=ns(6))
    script = Script("subtitles")
    script.cue(0, 100_000, at=100_000, watermark=1)
    script.end("subtitles", 1, at=100_000)

    assert closed(decide(script.entries, until=100_001, config=config)) == [(0, 2, "end"), (2, 4, "end"), (4, 6, "end")]


def test_an_empty_span_counts_as_an_instant() -> None:
    """A cue that ends where it starts, at the start of a window, belongs to that window."""
    config = replace(CONFIG, max_empty=1)
    script = Script("video", "subtitles")
    script.video(0, at=100)
    script.cue(8, 8, at=100)
    script.end("video", 1, at=100)
    script.end("subtitles", 8, at=100.1)
    closed_windows = windows(decide(script.entries, until=101, config=replace(config, max_hold_ns=ns(1))))

    assert offsets(closed_windows[8].items["subtitles"]) == [0]
    assert closed_windows[8].skipped == 2


# --- rule 13: closing -------------------------------------------------------------------------------------------------


def test_windows_start_at_the_earliest_item_not_at_the_first_record() -> None:
    """The audio is a minute before the video that arrived first."""
    script = Script("video", "audio")
    script.video(60, at=100, watermark=64)
    script.audio(0, 2, at=101)

    assert closed(decide(script.entries, until=102)) == [(0, 2, "progress")]


def test_progress_alone_opens_no_window() -> None:
    """There is no item."""
    script = Script("video")
    for second in range(30):
        script.progress("video", second, at=100 + second, watermark=second + 1)

    assert closed(decide(script.entries, until=400)) == []


def test_the_next_window_to_close_never_moves_back() -> None:
    """An item before it opens no window again."""
    script = Script("video")
    script.video(10, at=100, watermark=12)
    behind = script.video(3, at=101, watermark=12)
    decisions = decide(script.entries, until=102)

    assert closed(decisions) == [(10, 12, "progress")]
    assert late(decisions) == [behind]


def test_windows_close_in_order_without_gaps() -> None:
    """Every window between the first and the last item closes, empty or not."""
    script = Script("audio")
    script.audio(0, 1, at=100)
    script.audio(7, 8, at=107)

    assert [start for start, _, _ in closed(decide(script.entries, until=108))] == [0, 2, 4, 6]


def test_a_window_that_starts_at_the_maximum_event_time_stays_open() -> None:
    """Watermarks and ends do not close windows that no media has reached."""
    script = Script("video")
    script.video(0, at=100)
    script.end("video", 60, at=100)

    assert closed(decide(script.entries, until=101)) == [(0, 2, "end")]


def closing(reason: str) -> Script:
    """Return a log whose window [0, 2) closes because of `reason`."""
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
def test_closed_by_is_the_first_reason_that_applies(reason: str, closed_by: str) -> None:
    """The order is that of the rule."""
    config = replace(BY_ARRIVAL, stream_max_bytes=1000)
    decisions = decide(closing(reason).entries, until=111, config=config)

    assert closed(decisions)[0] == (0, 2, closed_by)


@pytest.mark.parametrize("order", [("video", "subtitles"), ("subtitles", "video")])
def test_the_order_in_which_tracks_end_does_not_change_closed_by(order: tuple[Modality, Modality]) -> None:
    """The watermark of subtitles is in the middle of the window when they end, so `end` is the reason."""
    script = Script("video", "subtitles")
    script.progress("subtitles", 1, at=100, watermark=1)
    script.video(0, at=100)
    script.video(1.9, at=100, watermark=2.1)
    script.end(order[0], 2.1, at=101)
    script.end(order[1], 2.1, at=102)

    assert closed(decide(script.entries, until=103)) == [(0, 2, "end")]


def test_an_idle_track_whose_watermark_reached_the_end_is_not_the_reason() -> None:
    """Audio becomes idle, but its watermark is beyond the window, which closes by progress."""
    script = Script("video", "audio")
    script.audio(0, 3, at=100, watermark=4)
    script.video(0, at=105, watermark=1)
    script.video(2, at=112, watermark=4)

    assert closed(decide(script.entries, until=113)) == [(0, 2, "progress"), (2, 4, "progress")]


# --- rule 14: held frames ---------------------------------------------------------------------------------------------


def slides() -> Script:
    """Return a log of a frame at 1 s, another at 9 s, and continuous audio."""
    script = Script("video", "audio")
    for second in range(0, 30, 2):
        script.audio(second, second + 2, at=100 + second)
        if second in {0, 8}:
            script.video(second + 1, at=100 + second, watermark=second + 2)
        else:
            script.progress("video", second + 2, at=100 + second, watermark=second + 2)
    return script


def test_a_frame_is_held_for_the_following_windows_without_a_frame() -> None:
    """Until the next frame, for at most `max_hold`."""
    closed_windows = windows(decide(slides().entries, until=129))
    held = {start: window.held.offset for start, window in closed_windows.items() if window.held is not None}

    assert held == {2: 0, 4: 0, 6: 0, 10: 4, 12: 4, 14: 4, 16: 4, 18: 4}
    assert closed_windows[4].states["video"] == "held"
    assert closed_windows[8].states["video"] == "present"
    assert closed_windows[20].states["video"] == "empty"


def test_a_frame_is_held_for_at_most_max_hold() -> None:
    """A window that starts `max_hold` after the frame has no frame."""
    config = replace(CONFIG, max_hold_ns=ns(3))
    closed_windows = windows(decide(slides().entries, until=129, config=config))

    assert [start for start, window in closed_windows.items() if window.held is not None] == [2, 10]


# --- rule 15: empty windows -------------------------------------------------------------------------------------------


def test_the_state_of_a_modality_says_why_it_is_missing() -> None:
    """Present, empty, idle, or absent because it was never announced."""
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


def test_one_decision_publishes_few_empty_windows_and_the_next_result_counts_the_skipped_ones() -> None:
    """After a clock jump of an hour there are five empty windows, then one that has the number of skipped ones."""
    script = Script("audio")
    script.audio(0, 2, at=100)
    script.audio(3600, 3602, at=101)
    decisions = decide(script.entries, until=102)

    assert [start for start, _, _ in closed(decisions)] == [0, 2, 4, 6, 8, 10, 3600]
    assert windows(decisions)[3600].skipped == (3600 - 12) / 2


def test_skipping_ends_with_the_decision() -> None:
    """A later decision publishes its own empty windows with the number that was skipped before."""
    script = Script("audio")
    script.audio(0, 2, at=100)
    script.progress("audio", 60, at=101, watermark=60)
    script.progress("audio", 62, at=102, watermark=62)
    closed_windows = windows(decide(script.entries, until=103))

    assert list(closed_windows) == [0, 2, 4, 6, 8, 10, 60]
    assert closed_windows[60].skipped == 24


@pytest.mark.parametrize(("read_to", "watermark"), [(30, 60), (60, 30)])
def test_skipping_stops_at_the_maximum_event_time_and_the_watermark(read_to: float, watermark: float) -> None:
    """Neither a far watermark nor a far position alone is enough."""
    script = Script("audio")
    script.audio(0, 2, at=100)
    script.progress("audio", read_to, at=101, watermark=watermark)
    script.audio(30, 32, at=102, watermark=watermark)
    decisions = decide(script.entries, until=112)

    assert late(decisions) == []
    assert windows(decisions)[30].skipped == 9


def test_empty_windows_that_close_one_by_one_are_all_published() -> None:
    """The limit on empty windows applies to one decision."""
    script = Script("audio")
    script.audio(0, 2, at=100)
    for second in range(2, 40, 2):
        script.progress("audio", second + 2, at=100 + second, watermark=second + 2)
    closed_windows = windows(decide(script.entries, until=139))

    assert list(closed_windows) == list(range(0, 40, 2))
    assert {window.skipped for window in closed_windows.values()} == {0}


# --- rule 16: the bound -----------------------------------------------------------------------------------------------


def test_at_a_streams_byte_bound_its_oldest_window_closes_as_it_is() -> None:
    """Audio is announced and slow, and video fills the memory."""
    config = replace(CONFIG, stream_max_bytes=45)
    script = Script("video", "audio")
    for second in range(6):
        script.video(second, at=100 + second, watermark=second + 1)
    decisions = decide(script.entries, until=106, config=config)

    assert closed(decisions) == [(0, 2, "bound"), (2, 4, "bound")]
    assert windows(decisions)[0].snapshot.clock_ns == ns(104)


def test_at_a_partitions_byte_bound_the_largest_stream_closes_a_window() -> None:
    """Each stream is within its own bound."""
    config = replace(CONFIG, partition_max_bytes=65)
    script = Script("video", "audio")
    for second in range(4):
        script.video(second, at=100 + second, watermark=second + 1, stream="large")
    for second in range(3):
        script.video(second, at=104 + second, watermark=second + 1, stream="small")
    decisions = decide(script.entries, until=107, config=config)

    assert [window.stream for window in windows(decisions).values()] == ["large"]
    assert closed(decisions) == [(0, 2, "bound")]


def test_an_item_larger_than_the_bound_closes_its_window_at_once() -> None:
    """Only the frame that may be held stays in memory."""
    config = replace(CONFIG, stream_max_bytes=45)
    script = Script("video", "audio")
    script.video(0, at=100, size_bytes=1000)
    script.video(3, at=101, size_bytes=10)
    decisions = decide(script.entries, until=102, config=config)

    assert closed(decisions) == [(0, 2, "bound"), (2, 4, "bound")]


# --- rule 17: forgetting ----------------------------------------------------------------------------------------------


def test_a_stream_is_forgotten_its_ttl_after_its_last_closed_window() -> None:
    """By the arrival clock. Later records start the stream again, with a new first window."""
    script = Script("video")
    script.video(10, at=100, watermark=12)
    script.video(0, at=701, watermark=2)
    decisions = decide(script.entries, until=702)

    assert forgotten(decisions) == ["city"]
    assert closed(decisions) == [(10, 12, "progress"), (0, 2, "progress")]
    assert late(decisions) == []


def test_a_closed_window_restarts_the_ttl_of_a_stream() -> None:
    """The TTL counts from the window, not from the first record."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=1)
    for second in range(101, 300, 5):
        script.video(second / 1000, at=second, watermark=1 + second / 1000)
    script.end("video", 2, at=301)
    script.end("audio", 2, at=301)

    assert forgotten(decide(script.entries, until=901)) == []
    assert forgotten(decide(script.entries, until=901.1)) == ["city"]


def test_a_forgotten_stream_holds_no_memory_and_no_deadline() -> None:
    """Not even the held frame."""
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
    """A second pass of the same film is late, and late records do not restart the TTL."""
    script = Script("video")
    script.video(10, at=100, watermark=12)
    for second in range(0, 700, 5):
        script.video(1, at=101 + second, watermark=12)
    decisions = decide(script.entries, until=802)

    assert forgotten(decisions) == ["city"]


def test_open_windows_close_as_quiet_when_their_stream_is_forgotten() -> None:
    """The watermark of video keeps advancing, but never reaches the end of the window."""
    config = replace(CONFIG, stream_ttl_ns=ns(20))
    script = Script("video")
    script.video(0, at=100, watermark=1)
    for step in range(1, 5):
        script.video(step / 10, at=100 + 5 * step, watermark=1 + step / 10)
    decisions = decide(script.entries, until=121, config=config)

    assert closed(decisions) == [(0, 2, "quiet")]
    assert forgotten(decisions) == ["city"]


def test_a_stream_without_any_window_is_forgotten_its_ttl_after_its_first_record() -> None:
    """Progress alone does not keep a stream."""
    script = Script("video")
    script.progress("video", 0, at=100, watermark=1)

    assert forgotten(decide(script.entries, until=700)) == []
    assert forgotten(decide(script.entries, until=700.1)) == ["city"]
