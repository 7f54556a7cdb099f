"""Alignment rules 18 to 20 for the aligner: the snapshot in each result, and restoring from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.worker.alignment.script import CONFIG, Reading, Script, closed, decide, forgotten, late, ns, windows
from triptych.schemas.errors import MalformedRecordError
from triptych.worker.alignment.decisions import ClosedWindow, Decision
from triptych.worker.alignment.entry import READING_ORDER
from triptych.worker.alignment.snapshot import Snapshot

BEGIN = dict.fromkeys(READING_ORDER, 0)


def restarted(script: Script, result: ClosedWindow, *, until: float) -> list[Decision]:
    """Read the whole log again with the snapshot of a result. Return the decisions."""
    reading = Reading(restored={"city": Snapshot.from_json(result.snapshot.to_json())})
    entries = [entry for entry in script.entries if entry.arrival_ns <= ns(until)]
    return [*reading.read(*entries), *reading.ask(until), *reading.ask(until)]


def observable(decisions: list[Decision]) -> list[tuple[object, ...]]:
    """Return what a consumer of results sees."""
    return [
        (window.start_ns, window.closed_by, window.skipped, window.dead, window.states, window.items, window.held)
        for window in windows(decisions).values()
    ]


def eventful() -> Script:
    """Return a log with two sessions, a track that stops, a cue, a repeat, a jump in event time and ends."""
    script = Script("video", "audio", "subtitles")
    script.cue(0, 5, at=100, watermark=20)
    for second in range(8):
        script.video(second, at=100 + second, watermark=second + 1)
        if second < 3:
            script.audio(second, second + 1, at=100.2 + second)
    script.video(7, at=108, seq=7)
    script.dead("audio", at=113)
    script.video(40, at=114, watermark=41, session="t")
    script.audio(40, 41, at=114.2, session="t")
    script.end("video", 41, at=114.4, session="t")
    script.end("audio", 41, at=114.5, session="t")
    return script


# --- rule 18: the snapshot --------------------------------------------------------------------------------------------


def test_the_snapshot_of_a_result_is_the_state_after_its_window() -> None:
    """A decision that closes several windows makes several snapshots with different next windows."""
    script = Script("video")
    script.video(0, at=100)
    script.video(5, at=101, watermark=6)
    made = windows(decide(script.entries, until=102))

    assert [window.snapshot.next_window_start_ns for window in made.values()] == [ns(2), ns(4), ns(6)]
    assert {window.snapshot.clock_ns for window in made.values()} == {ns(101)}
    assert {window.snapshot.positions["video"] for window in made.values()} == {2}


def test_a_snapshot_has_the_offsets_that_open_windows_still_need() -> None:
    """A cue that extends into an open window, and the held frame."""
    script = Script("video", "subtitles")
    script.video(0, at=100)
    script.video(1, at=100, watermark=2)
    script.cue(0, 1, at=100)
    script.cue(1, 5, at=100, watermark=3)
    (window,) = windows(decide(script.entries, until=101)).values()

    assert window.snapshot.kept == {"audio": (), "subtitles": (1,), "video": (1,)}


def test_a_stream_with_windows_to_close_needs_its_last_record() -> None:
    """All items are finished, but silence will close more windows: a restart must still find this snapshot."""
    script = Script("audio")
    script.audio(0, 2, at=100, watermark=1)
    script.progress("audio", 5, at=100, watermark=2)
    (window,) = windows(decide(script.entries, until=101)).values()

    assert not window.snapshot.is_finished("audio", 1)
    assert window.snapshot.is_finished("audio", 0)

    *_, last = windows(decide(script.entries, until=200)).values()

    assert last.snapshot.is_finished("audio", 1)


def test_a_snapshot_is_equal_after_a_round_trip_through_its_header() -> None:
    """For every result of the log."""
    for window in windows(decide(eventful().entries, until=800)).values():
        snapshot = Snapshot.from_json(window.snapshot.to_json())

        assert snapshot.to_json() == window.snapshot.to_json()
        assert {m: snapshot.kept.get(m, ()) for m in READING_ORDER} == window.snapshot.kept
        assert snapshot.tracks == window.snapshot.tracks
        assert list(snapshot.sessions) == list(window.snapshot.sessions)


def test_skipped_and_dead_are_in_the_header_only_if_they_are_not_zero() -> None:
    """They are not zero if windows were skipped or records were dead before a revision."""
    first = next(iter(windows(decide(eventful().entries, until=800)).values()))
    with_counts = replace(first.snapshot, skipped=8, dead=2)
    read = Snapshot.from_json(with_counts.to_json())

    assert (read.skipped, read.dead) == (8, 2)
    assert b"skipped" not in first.snapshot.to_json()
    assert (first.snapshot.skipped, first.snapshot.dead) == (0, 0)


@pytest.mark.parametrize(
    "header",
    [b"", b"{}", b"[]", b"null", b'{"v": 2}', b'{"v": 1}', b"\xff", b'{"v": 1, "positions": 3}', b"[" * 99_999],
)
def test_a_header_that_is_no_snapshot_is_malformed(header: bytes) -> None:
    """The error names the header."""
    with pytest.raises(MalformedRecordError, match="triptych-state"):
        Snapshot.from_json(header)


# --- rule 19: restore -------------------------------------------------------------------------------------------------


def test_a_restart_after_any_result_makes_exactly_the_results_that_follow() -> None:
    """The last result on the topic may be in the middle of a decision."""
    undisturbed = decide(eventful().entries, until=800)
    made = list(windows(undisturbed).values())
    for count, window in enumerate(made, start=1):
        again = restarted(eventful(), window, until=800)

        assert observable(again) == observable(undisturbed)[count:]


def test_records_before_the_snapshot_only_refill_windows() -> None:
    """A late record is not late a second time."""
    script = Script("video")
    script.video(4, at=100, watermark=6)
    behind = script.video(1, at=101, watermark=6)
    script.video(7, at=102, watermark=8)
    undisturbed = decide(script.entries, until=103)

    assert late(undisturbed) == [behind]
    assert restarted(script, windows(undisturbed)[6], until=103) == []


def test_idleness_is_restored_not_decided_again() -> None:
    """Video does not become idle because the log is read again from an old cue on."""
    script = Script("video", "subtitles")
    script.cue(0, 60, at=100, watermark=60)
    for second in range(60):
        script.video(second, at=100 + second, watermark=second + 1)
    undisturbed = decide(script.entries, until=159.5)
    window = windows(undisturbed)[50]
    cue_and_what_follows = [entry for entry in script.entries if entry.modality == "subtitles" or entry.offset >= 51]
    reading = Reading(start={**BEGIN, "video": 51}, restored={"city": window.snapshot})
    again = [*reading.read(*cue_and_what_follows), *reading.ask(159.5), *reading.ask(159.5)]

    assert observable(again) == observable(undisturbed)[26:]
    assert {window.closed_by for window in windows(again).values()} == {"progress"}


def test_an_ended_stream_is_not_published_again() -> None:
    """Its last result has its state, although the log is read from the beginning."""
    script = Script("video")
    script.video(0, at=100)
    script.end("video", 1, at=101)
    (window,) = windows(decide(script.entries, until=102)).values()

    assert closed(restarted(script, window, until=300)) == []


def test_newer_records_are_deferred_until_the_windows_of_a_stream_are_refilled() -> None:
    """The clocks of the brokers differ: live, the chunk of 100.002 s was taken before the frame of 100.001 s."""
    script = Script("video", "audio")
    script.video(0, at=100, watermark=2)
    script.audio(0, 1, at=100)
    chunk = script.audio(1, 3.5, at=100.002, watermark=4)
    live = decide(script.entries, until=100.003)
    script.video(3, at=100.001, watermark=4)
    script.video(4, at=100.001, watermark=5)
    again = restarted(script, windows(live)[0], until=101)

    assert closed(live) == [(0, 2, "progress")]
    assert closed(again) == [(2, 4, "progress")]
    assert windows(again)[2].items["audio"] == (chunk,)
    assert windows(again)[2].snapshot.positions["video"] == 2  # the frame of 4 s was deferred and not taken yet


def test_a_held_frame_is_held_again_after_a_restart() -> None:
    """It is refilled although its own window has closed."""
    script = Script("video", "audio")
    script.video(1, at=100, watermark=8)
    for second in range(0, 8, 2):
        script.audio(second, second + 2, at=100 + second)
    made = windows(decide(script.entries, until=107))
    again = windows(restarted(script, made[2], until=107))

    assert [start for start, window in again.items() if window.held] == [4, 6]


def test_many_streams_are_refilled_one_after_the_other() -> None:
    """In the order in which their snapshots were taken."""
    script = Script("video")
    for number in range(300):
        script.video(0, at=100 + number / 100, stream=f"s{number}")
        script.end("video", 1, at=100 + number / 100, stream=f"s{number}")
    decisions = decide(script.entries, until=104)
    restored = {decision.stream: decision.snapshot for decision in decisions if isinstance(decision, ClosedWindow)}
    reading = Reading(restored=restored)

    assert [*reading.read(*script.entries), *reading.ask(104), *reading.ask(104)] == []
    assert len(reading.aligner.streams()) == 300
    assert reading.aligner.held_bytes == 10 * 300  # the held frames


# --- open streams and forgetting --------------------------------------------------------------------------------------


def test_open_streams_have_an_item_in_an_open_window() -> None:
    """Their records stay uncommitted when a backfill stops at the end."""
    script = Script("video", "audio")
    script.video(0, at=100, stream="open")
    script.video(0, at=100, stream="over")
    script.end("video", 1, at=100, stream="over")
    script.end("audio", 1, at=100, stream="over")
    reading = Reading(CONFIG)
    reading.read(*script.entries)
    reading.ask(101)

    assert set(reading.aligner.streams()) == {"open", "over"}
    assert reading.aligner.open_streams() == ("open",)


def test_a_restart_in_the_middle_of_forgetting_continues_to_forget() -> None:
    """The open windows close as `quiet` and the stream is forgotten at once, not after another TTL."""
    config = replace(CONFIG, idle_timeout_ns=2 * CONFIG.stream_ttl_ns)
    script = Script("video", "audio")
    for second in (0, 2, 4):
        script.video(second, at=100, watermark=second + 1)  # audio never arrives, so no window closes before
    whole = decide(script.entries, until=701, config=config)
    first, *rest = windows(whole).values()
    assert [window.closed_by for window in rest] == ["quiet", "quiet"]

    reading = Reading(config, restored={"city": Snapshot.from_json(first.snapshot.to_json())})
    after = [*reading.read(*script.entries), *reading.ask(701), *reading.ask(701)]

    assert [(window.start_ns, window.closed_by) for window in windows(after).values()] == [
        (window.start_ns, window.closed_by) for window in rest
    ]
    assert forgotten(after) == forgotten(whole) == ["city"]
