"""Rule 22: what is put back from the dead letters is late by rule, exempt from `seq`, and moves nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.worker.alignment.script import Script, closed, decide, late, windows
from triptych.worker.alignment.decisions import ClosedWindow, DeadLettered, Decision, DroppedRecord, Forgotten
from triptych.worker.alignment.entry import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable


def dropped(decisions: Iterable[Decision]) -> list[str]:
    """Return why records were dropped."""
    return [decision.reason for decision in decisions if isinstance(decision, DroppedRecord)]


def test_a_redriven_record_is_late_though_its_window_is_open_and_is_no_repeat() -> None:
    """It neither joins nor closes a window, whatever it promises and whatever its number is."""
    script = Script("video")
    script.video(0, at=100, seq=0)
    script.video(1, at=101, seq=2, watermark=1.5)
    back = script.video(0.5, at=102, seq=1, redriven=True, watermark=9)
    script.video(2.5, at=103, seq=3)
    decisions = decide(script.entries, until=110)

    assert late(decisions) == [back]
    assert dropped(decisions) == []
    assert closed(decisions) == [(0, 2, "progress")]
    assert [entry.offset for entry in windows(decisions)[0].items["video"]] == [0, 1]


def test_a_redriven_record_of_a_session_long_left_is_late_and_of_a_forgotten_stream_begins_none() -> None:
    """Its session, its tracks and its stream mean nothing any more."""
    script = Script("video")
    script.video(0, at=100, session="old")
    script.video(10, at=110, session="new")
    back = script.video(1, at=111, session="old", redriven=True)
    again = script.video(1, at=2000, session="old", redriven=True, tracks=("video", "audio"))
    decisions = decide(script.entries, until=4000)

    assert late(decisions) == [back, again]
    assert dropped(decisions) == []
    forgotten = [decision for decision in decisions if isinstance(decision, Forgotten)]
    assert len(forgotten) == 1
    after = decisions[decisions.index(forgotten[0]) :]
    assert not [decision for decision in after if isinstance(decision, ClosedWindow)]


def test_a_redriven_end_ends_nothing_and_a_redriven_promise_promises_nothing() -> None:
    """Control records say how things stood when they were made."""
    script = Script("video")
    script.video(0, at=100)
    script.progress("video", 50, at=101, watermark=50, redriven=True)
    script.end("video", 50, at=102, redriven=True)
    decisions = decide(script.entries, until=105)

    assert dropped(decisions) == ["redriven", "redriven"]
    assert closed(decisions) == []


def test_a_redriven_record_that_is_dead_again_is_refused_and_counted_by_no_window() -> None:
    """A window counted it when it died first."""
    script = Script("video")
    script.video(0, at=100)
    back = script.dead("video", at=101, redriven=True)
    script.video(3, at=102)
    decisions = decide(script.entries, until=105)

    assert [(o.entry, o.counted) for o in decisions if isinstance(o, DeadLettered)] == [(back, False)]
    assert [window.dead for window in windows(decisions).values()] == [0]


def test_what_another_pipeline_put_back_is_passed_over_even_where_it_cannot_be_decoded() -> None:
    """The inputs are shared: it was this pipeline's once already, record or dead letter."""
    script = Script("video")
    script.video(0, at=100)
    script.entries[-1] = replace(script.dead("video", at=101), kind=Kind.ELSEWHERE, redriven=True)

    assert dropped(decide(script.entries, until=105)) == ["other_pipeline"]
