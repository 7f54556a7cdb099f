"""Rules 18 to 20 from the aligner's side: the state in each result, and going on from it."""

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
    """Read the whole log again, with the state that a result carries."""
    reading = Reading(restored={"city": Snapshot.from_json(result.snapshot.to_json())})
    entries = [entry for entry in script.entries if entry.arrival_ns <= ns(until)]
    return [*reading.read(*entries), *reading.ask(until), *reading.ask(until)]


def essence(decisions: list[Decision]) -> list[tuple[object, ...]]:
    """Return what readers of results see of the windows."""
    return [
        (window.start_ns, window.closed_by, window.skipped, window.dead, window.states, window.items, window.held)
        for window in windows(decisions).values()
    ]


def talk() -> Script:
    """Return a log in which much happens: sessions, a track that stops, cues, repeats, a jump, an end."""
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


# --- rule 18: the state -----------------------------------------------------------------------------------------------


def test_the_state_in_a_result_is_the_streams_after_that_very_window() -> None:
    """A decision of several windows leaves several states, each with its own floor."""
    script = Script("video")
    script.video(0, at=100)
    script.video(5, at=101, watermark=6)
    made = windows(decide(script.entries, until=102))

    assert [window.snapshot.next_window_start_ns for window in made.values()] == [ns(2), ns(4), ns(6)]
    assert {window.snapshot.clock_ns for window in made.values()} == {ns(101)}
    assert {window.snapshot.positions["video"] for window in made.values()} == {2}


def test_a_state_names_the_records_that_open_windows_still_need() -> None:
    """A cue across the floor, and the picture that may have to stand in."""
    script = Script("video", "subtitles")
    script.video(0, at=100)
    script.video(1, at=100, watermark=2)
    script.cue(0, 1, at=100)
    script.cue(1, 5, at=100, watermark=3)
    (window,) = windows(decide(script.entries, until=101)).values()

    assert window.snapshot.kept == {"audio": (), "subtitles": (1,), "video": (1,)}


def test_a_stream_that_owes_windows_needs_its_last_record() -> None:
    """All items are finished, but the silence after them is not: the tail has to reach back to this state."""
    script = Script("audio")
    script.audio(0, 2, at=100, watermark=1)
    script.progress("audio", 5, at=100, watermark=2)
    (window,) = windows(decide(script.entries, until=101)).values()

    assert not window.snapshot.is_finished("audio", 1)
    assert window.snapshot.is_finished("audio", 0)

    *_, last = windows(decide(script.entries, until=200)).values()

    assert last.snapshot.is_finished("audio", 1)


def test_every_state_of_a_log_survives_its_header() -> None:
    """What is written is what is read."""
    for window in windows(decide(talk().entries, until=800)).values():
        snapshot = Snapshot.from_json(window.snapshot.to_json())

        assert snapshot.to_json() == window.snapshot.to_json()
        assert {m: snapshot.kept.get(m, ()) for m in READING_ORDER} == window.snapshot.kept
        assert snapshot.tracks == window.snapshot.tracks
        assert list(snapshot.sessions) == list(window.snapshot.sessions)


def test_a_state_carries_what_the_next_window_has_to_say_and_an_older_one_carries_none() -> None:
    """Windows that were skipped and records that were dead before a revision."""
    first = next(iter(windows(decide(talk().entries, until=800)).values()))
    owing = replace(first.snapshot, skipped=8, dead=2)
    read = Snapshot.from_json(owing.to_json())

    assert (read.skipped, read.dead) == (8, 2)
    assert b"skipped" not in first.snapshot.to_json()
    assert (first.snapshot.skipped, first.snapshot.dead) == (0, 0)


@pytest.mark.parametrize(
    "header",
    [b"", b"{}", b"[]", b"null", b'{"v": 2}', b'{"v": 1}', b"\xff", b'{"v": 1, "positions": 3}', b"[" * 99_999],
)
def test_a_header_that_is_no_state_is_malformed(header: bytes) -> None:
    """One error type says which header, what was expected and what came."""
    with pytest.raises(MalformedRecordError, match="triptych-state"):
        Snapshot.from_json(header)


# --- rule 19: going on ------------------------------------------------------------------------------------------------


def test_a_restart_after_any_result_makes_exactly_the_results_that_follow() -> None:
    """Whichever was the last result in the topic, also one in the middle of a decision."""
    undisturbed = decide(talk().entries, until=800)
    made = list(windows(undisturbed).values())
    for count, window in enumerate(made, start=1):
        again = restarted(talk(), window, until=800)

        assert essence(again) == essence(undisturbed)[count:]


def test_what_lies_before_the_state_only_refills_it() -> None:
    """Late and repeated records are not late and repeated a second time."""
    script = Script("video")
    script.video(4, at=100, watermark=6)
    behind = script.video(1, at=101, watermark=6)
    script.video(7, at=102, watermark=8)
    undisturbed = decide(script.entries, until=103)

    assert late(undisturbed) == [behind]
    assert restarted(script, windows(undisturbed)[6], until=103) == []


def test_who_was_idle_is_not_found_out_a_second_time() -> None:
    """A reread that starts with an old cue and no video does not call video idle."""
    script = Script("video", "subtitles")
    script.cue(0, 60, at=100, watermark=60)
    for second in range(60):
        script.video(second, at=100 + second, watermark=second + 1)
    undisturbed = decide(script.entries, until=159.5)
    window = windows(undisturbed)[50]
    cue_and_what_follows = [entry for entry in script.entries if entry.modality == "subtitles" or entry.offset >= 51]
    reading = Reading(start={**BEGIN, "video": 51}, restored={"city": window.snapshot})
    again = [*reading.read(*cue_and_what_follows), *reading.ask(159.5), *reading.ask(159.5)]

    assert essence(again) == essence(undisturbed)[26:]
    assert {window.closed_by for window in windows(again).values()} == {"progress"}


def test_a_stream_that_had_ended_is_not_published_again() -> None:
    """Its last result in the tail says how far it had come, though the log is read from its beginning."""
    script = Script("video")
    script.video(0, at=100)
    script.end("video", 1, at=101)
    (window,) = windows(decide(script.entries, until=102)).values()

    assert closed(restarted(script, window, until=300)) == []


def test_nothing_newer_is_taken_before_a_streams_windows_are_refilled() -> None:
    """Brokers' clocks differ: live, the chunk of 100.002 s was taken before the frame of 100.001 s."""
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
    assert windows(again)[2].snapshot.positions["video"] == 2  # the frame of 4 s had waited too, and was not taken yet


def test_a_picture_that_stood_in_stands_in_again() -> None:
    """A held frame is refilled though its own window has closed."""
    script = Script("video", "audio")
    script.video(1, at=100, watermark=8)
    for second in range(0, 8, 2):
        script.audio(second, second + 2, at=100 + second)
    made = windows(decide(script.entries, until=107))
    again = windows(restarted(script, made[2], until=107))

    assert [start for start, window in again.items() if window.held] == [4, 6]


def test_hours_of_tail_do_not_slow_the_refilling_down() -> None:
    """Streams are resumed in the order in which their states were taken, one after the other."""
    script = Script("video")
    for number in range(300):
        script.video(0, at=100 + number / 100, stream=f"s{number}")
        script.end("video", 1, at=100 + number / 100, stream=f"s{number}")
    decisions = decide(script.entries, until=104)
    restored = {decision.stream: decision.snapshot for decision in decisions if isinstance(decision, ClosedWindow)}
    reading = Reading(restored=restored)

    assert [*reading.read(*script.entries), *reading.ask(104), *reading.ask(104)] == []
    assert len(reading.aligner.streams()) == 300
    assert reading.aligner.held_bytes == 10 * 300  # the pictures that may have to stand in


# --- what a restart starts from ---------------------------------------------------------------------------------------


def test_open_streams_are_those_with_something_in_an_open_window() -> None:
    """What a backfill that stops by itself leaves uncommitted."""
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


def test_forgetting_that_was_half_published_goes_on_as_forgetting() -> None:
    """What was open is quiet at the moment of forgetting, and the stream is gone then, not its TTL later."""
    config = replace(CONFIG, idle_timeout_ns=2 * CONFIG.stream_ttl_ns)
    script = Script("video", "audio")
    for second in (0, 2, 4):
        script.video(second, at=100, watermark=second + 1)  # sound is never heard, so nothing closes before
    whole = decide(script.entries, until=701, config=config)
    first, *rest = windows(whole).values()
    assert [window.closed_by for window in rest] == ["quiet", "quiet"]

    reading = Reading(config, restored={"city": Snapshot.from_json(first.snapshot.to_json())})
    after = [*reading.read(*script.entries), *reading.ask(701), *reading.ask(701)]

    assert [(window.start_ns, window.closed_by) for window in windows(after).values()] == [
        (window.start_ns, window.closed_by) for window in rest
    ]
    assert forgotten(after) == forgotten(whole) == ["city"]
