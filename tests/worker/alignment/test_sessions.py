"""Rules 4 to 11: streams, tracks, promises, idleness, sessions, repeats, and event time that cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.worker.alignment.script import CONFIG, Script, closed, decide, late, ns, windows
from triptych.worker.alignment.decisions import DeadLettered, Decision, DroppedRecord


def dropped(decisions: list[Decision]) -> list[tuple[int, str]]:
    """Return the offset of each dropped record, and why."""
    return [(decision.entry.offset, decision.reason) for decision in decisions if isinstance(decision, DroppedRecord)]


# --- rule 4: a stream begins with its first record --------------------------------------------------------------------


def test_an_announced_track_holds_windows_though_nothing_was_heard_of_it() -> None:
    """Audio was announced at 100 s: windows wait for it until it has been silent for the idle timeout."""
    script = Script("video", "audio")
    for second in range(12):
        script.video(second, at=100 + second, watermark=second + 1)

    assert closed(decide(script.entries, until=109.9)) == []

    decisions = decide(script.entries, until=112)

    assert closed(decisions)[0] == (0, 2, "idle")
    assert windows(decisions)[0].states == {"video": "present", "audio": "idle", "subtitles": "absent"}


def test_a_stream_may_begin_with_a_control_record() -> None:
    """Its tracks are announced by whatever comes first."""
    script = Script("video", "audio")
    script.progress("audio", 0, at=100, watermark=2)
    script.video(0, at=101, watermark=2)

    assert closed(decide(script.entries, until=102)) == [(0, 2, "progress")]


# --- rule 5: the watermark --------------------------------------------------------------------------------------------


def test_a_window_waits_for_the_least_promise_of_the_active_tracks() -> None:
    """Video is read to 6 s, audio to 2 s: one window closes."""
    script = Script("video", "audio")
    for second in range(6):
        script.video(second, at=100, watermark=second + 1)
    script.audio(0, 2, at=101)

    assert closed(decide(script.entries, until=102)) == [(0, 2, "progress")]


def test_out_of_orderness_is_taken_off_a_tracks_promise() -> None:
    """What comes up to half a second behind its track's promise is not late."""
    config = replace(CONFIG, out_of_orderness_ns={"subtitles": ns(0.5)})
    script = Script("video", "subtitles")
    script.video(0, at=100, watermark=4)
    script.cue(0, 1, at=100, watermark=2.2)

    assert closed(decide(script.entries, until=101, config=config)) == []

    behind = script.cue(1.7, 1.9, at=101, watermark=2.5)
    decisions = decide(script.entries, until=102, config=config)

    assert closed(decisions) == [(0, 2, "progress")]
    assert windows(decisions)[0].items["subtitles"][-1] == behind


def test_an_ended_track_holds_nothing() -> None:
    """Audio is over at 1 s; video goes on alone."""
    script = Script("video", "audio")
    script.audio(0, 1, at=100)
    script.end("audio", 1, at=100)
    script.video(0, at=100, watermark=2)

    assert closed(decide(script.entries, until=101)) == [(0, 2, "end")]


# --- rule 6: idle -----------------------------------------------------------------------------------------------------


def test_a_producer_that_repeats_one_promise_for_ever_does_not_hold_windows_for_ever() -> None:
    """Audio says "nothing before 1 s" every second and brings nothing: after ten seconds it is idle."""
    script = Script("video", "audio")
    for second in range(30):
        script.video(second, at=100 + second, watermark=second + 1)
        script.progress("audio", 1, at=100 + second, watermark=1)
    decisions = decide(script.entries, until=129)

    assert closed(decisions)[0] == (0, 2, "idle")
    assert windows(decisions)[0].snapshot.clock_ns == ns(110)


def test_a_promise_beyond_the_streams_furthest_media_counts_as_heard_each_time() -> None:
    """A cue file that has promised a minute of silence is not idle: it says so again and again."""
    script = Script("video", "subtitles")
    for second in range(30):
        script.video(second, at=100 + second, watermark=second + 1)
        script.progress("subtitles", 0, at=100 + second, watermark=60)
    decisions = decide(script.entries, until=129)

    assert {reason for _, _, reason in closed(decisions)} == {"progress"}
    assert {window.states["subtitles"] for window in windows(decisions).values()} == {"empty"}


# --- rule 7: the furthest media time ----------------------------------------------------------------------------------


def test_a_far_promise_and_a_stall_make_nothing_late_that_was_not_begun() -> None:
    """Cues promise 300 s, video stalls for 15 s: only what lies in the window that was open then is late."""
    script = Script("video", "subtitles")
    script.cue(0, 1, at=100, watermark=300)
    for quarter in range(40):
        stall = 15 if quarter > 20 else 0
        script.video(quarter / 4, at=100 + quarter / 4 + stall, watermark=(quarter + 1) / 4)
    decisions = decide(script.entries, until=130)

    assert [item.start_ns for item in late(decisions)] == [ns(5.25), ns(5.5), ns(5.75)]


def test_progress_says_how_far_media_time_has_come() -> None:
    """With no media, windows open and close up to where a track was read, not up to its promise."""
    script = Script("subtitles")
    script.cue(0, 1, at=100)
    script.progress("subtitles", 5, at=101, watermark=300)

    assert closed(decide(script.entries, until=102)) == [(0, 2, "progress"), (2, 4, "progress"), (4, 6, "progress")]


# --- rule 8: sessions -------------------------------------------------------------------------------------------------


def test_each_track_moves_to_a_new_session_at_its_own_pace() -> None:
    """Video is in the new session while audio still speaks of the old one."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=2)
    script.video(2, at=101, session="t", watermark=4)
    script.audio(0, 2, at=102)
    script.audio(2, 4, at=103, session="t")

    assert closed(decide(script.entries, until=104)) == [(0, 2, "progress"), (2, 4, "progress")]


def test_a_record_of_a_session_that_its_track_has_left_is_dropped() -> None:
    """Two producers on one stream: the older one is not heard any more."""
    script = Script("video")
    script.video(0, at=100)
    script.video(1, at=101, session="t")
    script.video(1.5, at=102, session="s")

    assert dropped(decide(script.entries, until=103)) == [(2, "left_session")]


def test_a_new_session_revives_an_ended_track_and_its_end_is_of_its_own_session_only() -> None:
    """The end of the old session, come late, does not end the new one."""
    script = Script("video")
    script.video(0, at=100, watermark=1)
    script.end("video", 1, at=100)
    script.video(4, at=101, session="t", watermark=5)
    script.end("video", 1, at=102, session="s")

    assert closed(decide(script.entries, until=103)) == [(0, 2, "end"), (2, 4, "progress")]


def test_a_new_session_holds_windows_for_a_track_that_has_yet_to_end_its_old_one() -> None:
    """Audio begins anew; then video's old end comes, then video: its picture must not be late."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=2)
    script.audio(0, 2, at=100)
    script.end("audio", 2, at=100)
    script.audio(2, 4, at=101, session="t")
    script.audio(4, 6, at=101.5, session="t")
    script.end("video", 2, at=102)
    picture = script.video(3, at=103, session="t", watermark=6)
    decisions = decide(script.entries, until=104)

    assert late(decisions) == []
    assert windows(decisions)[2].items["video"] == (picture,)


def test_what_an_ended_track_promised_says_nothing_of_its_next_session() -> None:
    """The old cues promised 60 s ahead and ended; the new session announces cues, and one comes three seconds later."""
    script = Script("video", "subtitles")
    script.video(0, at=100, watermark=2)
    script.cue(0, 2, at=100, watermark=60)
    script.end("subtitles", 2, at=100)
    script.video(2, at=101, session="t", watermark=4)
    cue = script.cue(2, 3, at=104, session="t", watermark=4)
    decisions = decide(script.entries, until=105)

    assert late(decisions) == []
    assert windows(decisions)[2].items["subtitles"] == (cue,)


def test_entering_a_session_forgets_the_tracks_promise_and_seq_but_never_the_floor() -> None:
    """A new session that starts in the stream's past is late, and counts its records from the start."""
    script = Script("video")
    script.video(0, at=100, watermark=10)
    script.video(9, at=100, watermark=10)
    in_the_past = script.video(1, at=101, session="t", watermark=2)
    decisions = decide(script.entries, until=102)

    assert in_the_past.seq == 0
    assert late(decisions) == [in_the_past]
    assert closed(decisions)[-1] == (8, 10, "progress")


def test_a_new_session_announces_its_tracks_anew() -> None:
    """Audio, idle since long, holds windows again when a new session says that it has audio."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=2)
    script.video(2, at=120, watermark=4)
    script.video(4, at=121, session="t", watermark=6)
    decisions = decide(script.entries, until=122)

    assert closed(decisions) == [(0, 2, "idle"), (2, 4, "idle")]
    assert closed(decide(script.entries, until=131.5))[-1] == (4, 6, "idle")


# --- rule 9: waking ---------------------------------------------------------------------------------------------------


def test_a_track_that_wakes_is_late_behind_the_floor_and_joins_the_windows_still_open() -> None:
    """Audio wakes with a chunk behind the floor, one across it and one beyond it."""
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
    """A producer that sends again after a lost acknowledgement changes nothing."""
    script = Script("video")
    first, second = script.video(0, at=100, seq=4), script.video(1, at=101, seq=5)
    script.video(1, at=102, seq=5)
    script.video(0, at=102, seq=4)
    decisions = decide(script.entries, until=200)

    assert dropped(decisions) == [(2, "repeat"), (3, "repeat")]
    assert windows(decisions)[0].items["video"] == (first, second)


def test_seq_counts_media_alone_and_what_has_none_is_no_repeat() -> None:
    """Control records and foreign producers carry no seq."""
    script = Script("video")
    script.video(0, at=100, seq=0)
    script.progress("video", 0.5, at=100, watermark=0.5, seq=0)
    script.video(1, at=101, seq=None)
    script.video(1.5, at=101, seq=1)

    assert dropped(decide(script.entries, until=200)) == []


# --- rule 11: the future ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["video", "audio", "progress"])
def test_event_time_beyond_arrival_and_max_future_is_refused(kind: str) -> None:
    """A producer with a broken clock does not carry its stream a day off; the window says what it missed."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=2)
    tomorrow = 100 + 24 * 3600
    if kind == "video":
        refused = script.video(tomorrow + 1, at=100)
    elif kind == "audio":
        refused = script.audio(tomorrow - 1, tomorrow + 1.5, at=100.5)
    else:
        refused = script.progress("audio", tomorrow + 1, at=100.5, watermark=tomorrow + 1)
    script.audio(0, 2, at=101)
    decisions = decide(script.entries, until=102)

    assert [decision.entry for decision in decisions if isinstance(decision, DeadLettered)] == [refused]
    assert closed(decisions) == [(0, 2, "progress")]
    assert windows(decisions)[0].dead == 1


def test_a_dead_record_of_a_stream_that_is_not_known_is_no_streams() -> None:
    """Its letter alone speaks of it; nobody's window counts it."""
    script = Script("video")
    nameless = script.dead("video", at=99, stream=None)
    early = script.dead("video", at=100)
    script.video(0, at=101)
    counted = script.dead("video", at=102)
    decisions = decide(script.entries, until=200)
    refusals = [(decision.entry, decision.counted) for decision in decisions if isinstance(decision, DeadLettered)]

    assert refusals == [(nameless, False), (early, False), (counted, True)]
    assert windows(decisions)[0].dead == 1
