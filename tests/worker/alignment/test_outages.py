"""Alignment rules 6, 6a and 15a: what a silence of a whole stream, or of one track, does to its windows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from tests.worker.alignment.script import BY_ARRIVAL, CONFIG, Reading, Script, closed, decide, late, ns, offsets
from triptych.worker.alignment.decisions import ClosedWindow, EvictedRevisionState, LateItem
from triptych.worker.alignment.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triptych.worker.alignment.decisions import Decision

COMPLETE: Final = replace(CONFIG, complete_within_ns=ns(600))


def results(decisions: Iterable[Decision]) -> list[tuple[float, int, str]]:
    """Return start in seconds, revision and `closed_by` of each result, in order."""
    return [(w.start_ns / 1e9, w.revision, w.closed_by) for w in decisions if isinstance(w, ClosedWindow)]


def last_of(decisions: Iterable[Decision], start_s: float) -> ClosedWindow:
    """Return the last result of a window."""
    return [w for w in decisions if isinstance(w, ClosedWindow) and w.start_ns == ns(start_s)][-1]


def live(*, seconds: int, silent_from: int, lasts: float, audio_after: float) -> Script:
    """Return a log of video and audio with a silence, after which the backlog of video arrives before that of audio."""
    script = Script("video", "audio")
    back = 100 + silent_from + lasts
    arrivals: list[tuple[float, int, int]] = []
    for second in range(seconds):
        at = float(100 + second)
        held_back = silent_from <= second and at < back + audio_after
        arrivals.append((back if silent_from <= second and at < back else at, 0, second))
        arrivals.append((back + audio_after if held_back else at + 0.5, 1, second))
    for at, is_audio, second in sorted(arrivals):
        if is_audio:
            script.audio(second, second + 1, at=at)
        else:
            script.video(second, at=at, watermark=second + 1)
    return script


# --- rule 6: heard time -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lasts", [12, 40, 120])
def test_a_silence_that_all_tracks_share_makes_none_of_them_idle(lasts: float) -> None:
    """After it, audio has 7.5 s to bring what was held back. Nothing but the window begun before is quiet."""
    script = live(seconds=160, silent_from=21, lasts=lasts, audio_after=7)
    decisions = decide(script.entries, until=255)

    assert {closed_by for _, _, closed_by in closed(decisions)} == {"progress", "quiet"}
    assert next(start for start, _, closed_by in closed(decisions) if closed_by == "quiet") == 20
    assert [item for item in late(decisions) if item.start_ns >= ns(22)] == []


def test_the_backlog_of_a_track_may_come_until_the_heard_time_is_over() -> None:
    """The stream is heard for 2.5 s of the silence, and again from its end on: audio is idle 7.5 s later."""
    for audio_after, expected in ((7.4, "progress"), (7.6, "idle")):
        script = live(seconds=60, silent_from=20, lasts=30, audio_after=audio_after)
        decisions = decide(script.entries, until=160)

        assert closed(decisions)[10:12] == [(20, 22, expected), (22, 24, expected)]


def test_a_track_is_idle_once_the_heard_time_of_its_stream_reaches_the_timeout() -> None:
    """Video comes every five seconds, of which 2.5 count: audio is idle at 117.5 s, four pauses after 100 s."""
    script = Script("video", "audio")
    for step in range(6):
        script.video(step, at=100 + 5 * step, watermark=step + 1)

    assert closed(decide(script.entries, until=117.49)) == []
    decisions = decide(script.entries, until=117.51)

    assert closed(decisions) == [(0, 2, "idle"), (2, 4, "idle")]
    assert {d.snapshot.clock_ns for d in decisions if isinstance(d, ClosedWindow)} == {ns(117.5)}


def test_without_a_silence_longer_than_the_pause_idleness_is_as_by_arrival() -> None:
    """Video comes every 2.5 s."""
    script = Script("video", "audio")
    script.audio(0, 1, at=101.2)
    for step in range(8):
        script.video(step, at=100 + 2.5 * step, watermark=step + 1)

    assert closed(decide(script.entries, until=116)) == closed(decide(script.entries, until=116, config=BY_ARRIVAL))
    assert closed(decide(script.entries, until=111.1)) == []
    assert closed(decide(script.entries, until=111.3))[0] == (0, 2, "idle")


def test_a_record_that_brings_nothing_is_not_heard() -> None:
    """A producer repeats one watermark through a silence of its stream: it stays quiet, and no track becomes idle."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=1)
    script.audio(0, 1, at=100)
    for second in range(1, 30):
        script.progress("audio", 0, at=100 + second, watermark=1)
    decisions = decide(script.entries, until=130)

    assert closed(decisions) == [(0, 2, "quiet")]
    (window,) = [decision for decision in decisions if isinstance(decision, ClosedWindow)]
    assert window.snapshot.clock_ns == ns(110)
    assert {track.state for track in window.snapshot.tracks.values()} == {"active"}


# --- rule 6a: quiet ---------------------------------------------------------------------------------------------------


def test_in_the_quiet_windows_close_that_begin_before_what_was_told() -> None:
    """A cue of a minute is on: its future closes no window ahead of time."""
    script = Script("video", "subtitles")
    script.video(0, at=100, watermark=1)
    script.cue(0.5, 60, at=100, watermark=60)
    script.video(3, at=103, watermark=3.5)
    decisions = decide(script.entries, until=400)

    assert closed(decisions) == [(0, 2, "progress"), (2, 4, "quiet")]


@pytest.mark.parametrize(("told_s", "count"), [(3, 2), (4, 2), (4.5, 3)])
def test_what_was_told_is_the_end_of_media_the_start_of_a_cue_or_the_position_of_progress(
    told_s: float, count: int
) -> None:
    """Windows that begin before it close, each time."""
    for kind in ("video", "audio", "cue", "progress"):
        script = Script("video", "audio", "subtitles")
        script.video(0, at=100, watermark=0.1)
        if kind == "video":
            script.entries.append(replace(script.video(told_s, at=100.1, watermark=0.1), end_ns=ns(told_s)))
            del script.entries[-2]
        elif kind == "audio":
            script.audio(told_s - 1, told_s, at=100.1, watermark=0.1)
        elif kind == "cue":
            script.cue(told_s, told_s + 30, at=100.1, watermark=0.1)
        else:
            script.progress("audio", told_s, at=100.1, watermark=told_s)
        expected = count + 1 if (kind, told_s) == ("video", 4) else count  # a frame ends 1 ns after its instant

        assert [reason for _, _, reason in closed(decide(script.entries, until=112))] == ["quiet"] * expected, kind


def test_the_next_record_that_counts_ends_the_quiet() -> None:
    """All tracks hold windows again, although audio has not spoken yet."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=1)
    script.audio(0, 1, at=100)
    for second in range(2, 8):
        script.video(second, at=130 + second / 10, watermark=second + 1)

    assert closed(decide(script.entries, until=132)) == [(0, 2, "quiet")]

    script.audio(2, 6, at=132.5)

    assert closed(decide(script.entries, until=133))[1:] == [(2, 4, "progress"), (4, 6, "progress")]


def test_a_stream_whose_tracks_have_ended_is_not_quiet() -> None:
    """`closed_by` of a window with no active track is decided by the tracks."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=1)
    script.audio(0, 1, at=100)
    script.end("video", 1, at=100.5)
    script.end("audio", 1, at=100.6)

    assert closed(decide(script.entries, until=112)) == [(0, 2, "end")]


# --- rule 15a: completed windows --------------------------------------------------------------------------------------


def test_the_window_that_was_open_when_the_silence_began_is_issued_again_complete() -> None:
    """Only this one, and only once. It has all that the media have."""
    script = live(seconds=60, silent_from=21, lasts=12, audio_after=0.3)
    decisions = decide(script.entries, until=170, config=COMPLETE)
    again = [window for window in decisions if isinstance(window, ClosedWindow) and window.revision]

    assert [(w.start_ns / 1e9, w.closed_by, w.added) for w in again] == [(20, "quiet", {"video": 1, "audio": 1})]
    assert offsets(again[0].items["video"]) == offsets(again[0].items["audio"]) == [20, 21]
    assert again[0].snapshot.clock_ns == ns(134)  # `revise_after` after the first record that it lacked
    assert all(item.revises for item in decisions if isinstance(item, LateItem))
    for start in range(0, 56, 2):
        assert offsets(last_of(decisions, start).items["audio"]) == [start, start + 1]


def test_a_window_says_until_when_it_may_be_completed() -> None:
    """Only one that closed without waiting, and a stream that is forgotten completes nothing."""
    script = live(seconds=60, silent_from=21, lasts=12, audio_after=0.3)
    told = [
        ((w.start_ns / 1e9, w.revision), w.revisable_until_ns)
        for w in decide(script.entries, until=170, config=COMPLETE)
        if isinstance(w, ClosedWindow) and w.revisable_until_ns is not None
    ]
    assert told[:2] == [((20, 0), ns(622)), ((20, 1), ns(622))]
    assert {start for (start, _), _ in told} == {20}

    for config, expected in ((CONFIG, None), (replace(CONFIG, allowed_lateness_ns=ns(60)), ns(2 + 60))):
        first = last_of(decide(script.entries, until=170, config=config), 0)
        assert (first.closed_by, first.revisable_until_ns) == ("progress", expected)

    script.entries.clear()
    script.video(0, at=100, watermark=1)
    forgotten = decide(script.entries, until=1_000, config=replace(COMPLETE, idle_timeout_ns=ns(2_000)))
    assert [(w.closed_by, w.revisable_until_ns) for w in forgotten if isinstance(w, ClosedWindow)] == [("quiet", None)]


def test_windows_of_an_idle_track_are_completed_when_it_comes_back() -> None:
    """One topic is away for two minutes while the other goes on."""
    script = Script("video", "audio")
    for second in range(150):
        script.video(second, at=100 + second, watermark=second + 1)
    for second in range(150):
        script.audio(second, second + 1, at=250 + second / 1000)
    decisions = decide(script.entries, until=252, config=COMPLETE)

    assert {window[2] for window in results(decisions)} == {"idle"}
    for start in range(0, 148, 2):
        window = last_of(decisions, start)
        assert offsets(window.items["audio"]) == offsets(window.items["video"]) == [start, start + 1]
    assert max(revision for _, revision, _ in results(decisions)) == 1


def test_an_item_behind_a_window_that_waited_is_late_and_revises_nothing() -> None:
    """Windows closed by progress are not kept, so they cost nothing."""
    script = Script("video")
    for second in range(8):
        script.video(second, at=100 + second, watermark=second + 1)
    behind = script.video(1.5, at=109, watermark=8)
    decisions = decide(script.entries, until=115, config=COMPLETE)

    assert [(item.entry, item.revises) for item in decisions if isinstance(item, LateItem)] == [(behind, False)]
    for window in decisions:
        if isinstance(window, ClosedWindow):
            assert window.revision == 0
            assert window.snapshot.closed is None
            assert window.snapshot.to_json() == replace(window.snapshot, closed=None).to_json()
            assert all(offset >= window.start_ns // ns(1) for offset in window.snapshot.kept["video"])


def test_a_window_is_completed_only_within_the_time_for_it() -> None:
    """Its end is less than `complete_within` before the next window to close."""
    script = Script("video", "audio")
    for second in range(14):
        script.video(second, at=100 + second, watermark=second + 1)
    script.audio(8, 9, at=114.2)
    for within_s, revised in ((4, []), (5, [(8, 1, "idle")])):
        decisions = decide(script.entries, until=118, config=replace(CONFIG, complete_within_ns=ns(within_s)))

        assert [result for result in results(decisions) if result[1]] == revised


def test_the_frame_that_stands_in_for_a_completed_window_is_kept() -> None:
    """The window has no frame of its own, and its audio comes late."""
    script = Script("video", "audio")
    frame = script.video(1, at=100, watermark=30)
    script.audio(0, 2, at=100)
    for second in range(2, 18):
        script.progress("video", second, at=100 + second, watermark=31 + second)
    script.audio(2, 4, at=117.5)
    decisions = decide(script.entries, until=120, config=COMPLETE)

    again = last_of(decisions, 2)
    assert (again.revision, again.states["video"], again.held) == (1, "held", frame)


def test_at_the_byte_bound_the_oldest_window_gives_up_being_completed() -> None:
    """It is counted, and no open window closes ahead of time."""
    script = Script("video", "audio")
    for second in range(40):
        script.video(second, at=100 + second, watermark=second + 1)
    decisions = decide(script.entries, until=140, config=replace(COMPLETE, stream_max_bytes=150))

    evicted = [decision.start_ns for decision in decisions if isinstance(decision, EvictedRevisionState)]
    assert evicted == sorted(evicted)
    assert evicted
    assert {closed_by for _, _, closed_by in results(decisions)} == {"idle"}


def test_a_redriven_record_completes_a_window_that_closed_without_waiting() -> None:
    """It does not wait for an open window, which may close by progress."""
    script = live(seconds=30, silent_from=21, lasts=12, audio_after=0.1)
    script.video(18.5, at=134, seq=98, redriven=True)
    redriven = script.video(20.5, at=134.1, seq=99, redriven=True)
    script.video(29.9, at=134.2, seq=100, redriven=True)
    decisions = decide(script.entries, until=136, config=COMPLETE)

    taken = [(d.entry.start_ns / 1e9, d.revises) for d in decisions if isinstance(d, LateItem) and d.entry.redriven]
    assert taken == [(18.5, False), (20.5, True), (29.9, False)]
    assert redriven in last_of(decisions, 20).items["video"]


# --- rule 18: the state header ----------------------------------------------------------------------------------------


def test_a_restart_in_an_outage_makes_exactly_the_results_that_follow() -> None:
    """After any result, with `complete`: the header has the heard time, the quiet and what was told."""
    script = live(seconds=60, silent_from=21, lasts=30, audio_after=9)
    whole = [d for d in decide(script.entries, until=180, config=COMPLETE) if isinstance(d, ClosedWindow)]
    assert {window.closed_by for window in whole} >= {"quiet", "idle", "progress"}
    for count, window in enumerate(whole, start=1):
        state = Snapshot.from_json(window.snapshot.to_json())
        reading = Reading(COMPLETE, restored={"city": state})
        again = [*reading.read(*script.entries), *reading.ask(180), *reading.ask(180)]

        assert [w for w in again if isinstance(w, ClosedWindow)] == whole[count:]


def test_the_header_of_an_earlier_release_is_read_as_if_the_stream_had_been_heard() -> None:
    """It has no heard time: idleness continues by arrival, and all media count as told."""
    script = live(seconds=32, silent_from=60, lasts=0, audio_after=0)
    *_, last = [d for d in decide(script.entries, until=128.6) if isinstance(d, ClosedWindow)]
    document = json.loads(last.snapshot.to_json())
    del document["heard"]
    read = Snapshot.from_json(json.dumps(document).encode())

    assert (read.told_ns, read.quiet) == (last.snapshot.max_event_time_ns, False)
    assert read.last_activity_ns == read.heard_ns == last.snapshot.last_activity_ns
    assert {m: track.heard_ns for m, track in read.tracks.items()} == {
        m: track.last_activity_ns for m, track in last.snapshot.tracks.items()
    }
    reading = Reading(restored={"city": read})
    assert closed([*reading.read(*script.entries), *reading.ask(200), *reading.ask(200)])[-1] == (30, 32, "progress")
