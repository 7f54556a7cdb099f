"""Alignment rules 4 to 11: streams, tracks, watermarks, idleness, sessions, repeats, and event time in the future."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.worker.alignment.script import BY_ARRIVAL, CONFIG, Script, closed, decide, late, ns, windows
from triptych.worker.alignment.decisions import DeadLettered, Decision, DroppedRecord


def dropped(decisions: list[Decision]) -> list[tuple[int, str]]:
    """Return the offset of each dropped record, and the reason."""
    return [(decision.entry.offset, decision.reason) for decision in decisions if isinstance(decision, DroppedRecord)]


# --- rule 4: a stream starts with its first record --------------------------------------------------------------------


def test_windows_wait_for_an_announced_track_that_has_no_record_yet() -> None:
    """Audio is announced at 100 s. Windows wait for it until the idle timeout."""
    script = Script("video", "audio")
    for second in range(12):
        script.video(second, at=100 + second, watermark=second + 1)

    assert closed(decide(script.entries, until=109.9)) == []

    decisions = decide(script.entries, until=112)

    assert closed(decisions)[0] == (0, 2, "idle")
    assert windows(decisions)[0].states == {"video": "present", "audio": "idle", "subtitles": "absent"}


def test_a_stream_can_start_with_a_control_record() -> None:
    """The first record of any kind announces the tracks."""
    script = Script("video", "audio")
    script.progress("audio", 0, at=100, watermark=2)
    script.video(0, at=101, watermark=2)

    assert closed(decide(script.entries, until=102)) == [(0, 2, "progress")]


# --- rule 5: the watermark --------------------------------------------------------------------------------------------


def test_a_window_waits_for_the_minimum_watermark_of_the_active_tracks() -> None:
    """The watermark of video is 6 s and that of audio 2 s: one window closes."""
    script = Script("video", "audio")
    for second in range(6):
        script.video(second, at=100, watermark=second + 1)
    script.audio(0, 2, at=101)

    assert closed(decide(script.entries, until=102)) == [(0, 2, "progress")]


def test_out_of_orderness_is_subtracted_from_the_watermark_of_a_track() -> None:
    """An item up to half a second behind the watermark of its track is not late."""
    config = replace(CONFIG, out_of_orderness_ns={"subtitles": ns(0.5)})
    script = Script("video", "subtitles")
    script.video(0, at=100, watermark=4)
    script.cue(0, 1, at=100, watermark=2.2)

    assert closed(decide(script.entries, until=101, config=config)) == []

    behind = script.cue(1.7, 1.9, at=101, watermark=2.5)
    decisions = decide(script.entries, until=102, config=config)

    assert closed(decisions) == [(0, 2, "progress")]
    assert windows(decisions)[0].items["subtitles"][-1] == behind


def test_windows_do_not_wait_for_an_ended_track() -> None:
    """Audio ends at 1 s, and video continues."""
    script = Script("video", "audio")
    script.audio(0, 1, at=100)
    script.end("audio", 1, at=100)
    script.video(0, at=100, watermark=2)

    assert closed(decide(script.entries, until=101)) == [(0, 2, "end")]


# --- rule 6: idle -----------------------------------------------------------------------------------------------------


def test_a_track_that_repeats_one_watermark_becomes_idle() -> None:
    """Audio sends the watermark 1 s every second: after ten seconds it is idle."""
    script = Script("video", "audio")
    for second in range(30):
        script.video(second, at=100 + second, watermark=second + 1)
        script.progress("audio", 1, at=100 + second, watermark=1)
    decisions = decide(script.entries, until=129)

    assert closed(decisions)[0] == (0, 2, "idle")
    assert windows(decisions)[0].snapshot.clock_ns == ns(110)


def test_a_repeated_watermark_beyond_the_maximum_event_time_counts_as_activity() -> None:
    """A cue file that announces a minute of silence does not become idle."""
    script = Script("video", "subtitles")
    for second in range(30):
        script.video(second, at=100 + second, watermark=second + 1)
        script.progress("subtitles", 0, at=100 + second, watermark=60)
    decisions = decide(script.entries, until=129)

    assert {reason for _, _, reason in closed(decisions)} == {"progress"}
    assert {window.states["subtitles"] for window in windows(decisions).values()} == {"empty"}


# --- rule 7: the maximum event time -----------------------------------------------------------------------------------


def test_a_far_watermark_and_a_stall_make_only_items_of_the_started_window_late() -> None:
    """The watermark of the cues is 300 s, and video stalls for 15 s."""
    script = Script("video", "subtitles")
    script.cue(0, 1, at=100, watermark=300)
    for quarter in range(40):
        stall = 15 if quarter > 20 else 0
        script.video(quarter / 4, at=100 + quarter / 4 + stall, watermark=(quarter + 1) / 4)
    decisions = decide(script.entries, until=130)

    assert [item.start_ns for item in late(decisions)] == [ns(5.25), ns(5.5), ns(5.75)]


def test_progress_advances_the_maximum_event_time() -> None:
    """Windows close up to the position of the progress record, not up to its watermark."""
    script = Script("subtitles")
    script.cue(0, 1, at=100)
    script.progress("subtitles", 5, at=101, watermark=300)

    assert closed(decide(script.entries, until=102)) == [(0, 2, "progress"), (2, 4, "progress"), (4, 6, "progress")]


# --- rule 8: sessions -------------------------------------------------------------------------------------------------


def test_each_track_moves_to_a_new_session_at_its_own_pace() -> None:
    """Video is in the new session while audio is still in the old one."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=2)
    script.video(2, at=101, session="t", watermark=4)
    script.audio(0, 2, at=102)
    script.audio(2, 4, at=103, session="t")

    assert closed(decide(script.entries, until=104)) == [(0, 2, "progress"), (2, 4, "progress")]


def test_a_record_of_a_session_that_its_track_has_left_is_dropped() -> None:
    """With two producers on one stream, the older session is ignored."""
    script = Script("video")
    script.video(0, at=100)
    script.video(1, at=101, session="t")
    script.video(1.5, at=102, session="s")

    assert dropped(decide(script.entries, until=103)) == [(2, "left_session")]


def test_a_new_session_activates_an_ended_track_and_an_end_applies_to_its_own_session() -> None:
    """A late end of the old session does not end the new one."""
    script = Script("video")
    script.video(0, at=100, watermark=1)
    script.end("video", 1, at=100)
    script.video(4, at=101, session="t", watermark=5)
    script.end("video", 1, at=102, session="s")

    assert closed(decide(script.entries, until=103)) == [(0, 2, "end"), (2, 4, "progress")]


def test_windows_wait_for_a_track_whose_old_session_ends_after_the_new_one_starts() -> None:
    """Audio starts the new session, then the old end of video arrives, then its first new frame, which is not late."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=2)
    script.audio(0, 2, at=100)
    script.end("audio", 2, at=100)
    script.audio(2, 4, at=101, session="t")
    script.audio(4, 6, at=101.5, session="t")
    script.end("video", 2, at=102)
    frame = script.video(3, at=103, session="t", watermark=6)
    decisions = decide(script.entries, until=104)

    assert late(decisions) == []
    assert windows(decisions)[2].items["video"] == (frame,)


def test_the_watermark_of_an_ended_track_does_not_apply_to_its_next_session() -> None:
    """The old watermark is 60 s. The new session announces cues, and one arrives three seconds later."""
    script = Script("video", "subtitles")
    script.video(0, at=100, watermark=2)
    script.cue(0, 2, at=100, watermark=60)
    script.end("subtitles", 2, at=100)
    script.video(2, at=101, session="t", watermark=4)
    cue = script.cue(2, 3, at=104, session="t", watermark=4)
    decisions = decide(script.entries, until=105)

    assert late(decisions) == []
    assert windows(decisions)[2].items["subtitles"] == (cue,)


def test_a_new_session_resets_watermark_and_seq_but_not_the_next_window_to_close() -> None:
    """A session that starts in the past of its stream is late, and its `seq` starts again."""
    script = Script("video")
    script.video(0, at=100, watermark=10)
    script.video(9, at=100, watermark=10)
    in_the_past = script.video(1, at=101, session="t", watermark=2)
    decisions = decide(script.entries, until=102)

    assert in_the_past.seq == 0
    assert late(decisions) == [in_the_past]
    assert closed(decisions)[-1] == (8, 10, "progress")


def test_a_new_session_announces_its_tracks_again() -> None:
    """Windows wait again for audio, which was idle, when a new session announces it."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=2)
    script.video(2, at=120, watermark=4)
    script.video(4, at=121, session="t", watermark=6)
    decisions = decide(script.entries, until=122, config=BY_ARRIVAL)

    assert closed(decisions) == [(0, 2, "idle"), (2, 4, "idle")]
    assert closed(decide(script.entries, until=131.5, config=BY_ARRIVAL))[-1] == (4, 6, "idle")


# --- rule 9: activity again -------------------------------------------------------------------------------------------


def test_a_track_that_becomes_active_again_is_late_for_closed_windows_and_joins_open_ones() -> None:
    """Audio sends a chunk before the next window to close, one across its start and one after it."""
    script = Script("video", "audio")
    for second in range(13):
        script.video(second, at=100 + second, watermark=second + 1)
    behind = script.audio(10, 12, at=113.5)
    across = script.audio(11.5, 12.5, at=113.6)
    beyond = script.audio(12.5, 14, at=113.7)
    script.video(13, at=113.8, watermark=14)
    decisions = decide(script.entries, until=114)

    assert late(decisions) == [behind]
    assert windows(decisions)[12].items["audio"] == (across, beyond)
    assert windows(decisions)[12].closed_by == "progress"


# --- rule 10: repeats -------------------------------------------------------------------------------------------------


def test_a_media_record_at_or_below_the_largest_seq_of_its_session_is_a_repeat() -> None:
    """A producer sends again after a lost acknowledgement."""
    script = Script("video")
    first, second = script.video(0, at=100, seq=4), script.video(1, at=101, seq=5)
    script.video(1, at=102, seq=5)
    script.video(0, at=102, seq=4)
    decisions = decide(script.entries, until=200)

    assert dropped(decisions) == [(2, "repeat"), (3, "repeat")]
    assert windows(decisions)[0].items["video"] == (first, second)


def test_control_records_and_records_without_seq_are_no_repeats() -> None:
    """Only media records are numbered, and other producers may not send `seq`."""
    script = Script("video")
    script.video(0, at=100, seq=0)
    script.progress("video", 0.5, at=100, watermark=0.5, seq=0)
    script.video(1, at=101, seq=None)
    script.video(1.5, at=101, seq=1)

    assert dropped(decide(script.entries, until=200)) == []


# --- rule 11: the future ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["video", "audio", "progress"])
def test_event_time_too_far_in_the_future_is_dead_lettered(kind: str) -> None:
    """A producer with a wrong clock does not move its stream by a day. The window counts the dead record."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=2)
    tomorrow = 100 + 24 * 3600
    if kind == "video":
        rejected = script.video(tomorrow + 1, at=100)
    elif kind == "audio":
        rejected = script.audio(tomorrow - 1, tomorrow + 1.5, at=100.5)
    else:
        rejected = script.progress("audio", tomorrow + 1, at=100.5, watermark=tomorrow + 1)
    script.audio(0, 2, at=101)
    decisions = decide(script.entries, until=102)

    assert [decision.entry for decision in decisions if isinstance(decision, DeadLettered)] == [rejected]
    assert closed(decisions) == [(0, 2, "progress")]
    assert windows(decisions)[0].dead == 1


def test_a_dead_record_of_an_unknown_stream_is_not_counted() -> None:
    """Only its dead letter tells of it."""
    script = Script("video")
    nameless = script.dead("video", at=99, stream=None)
    early = script.dead("video", at=100)
    script.video(0, at=101)
    counted = script.dead("video", at=102)
    decisions = decide(script.entries, until=200)
    dead_lettered = [(decision.entry, decision.counted) for decision in decisions if isinstance(decision, DeadLettered)]

    assert dead_lettered == [(nameless, False), (early, False), (counted, True)]
    assert windows(decisions)[0].dead == 1
