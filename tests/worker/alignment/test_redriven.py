"""Alignment rule 22: redriven records are late, exempt from `seq`, and do not change the stream's progress."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.worker.alignment.script import Script, closed, decide, late, windows
from triptych.worker.alignment.decisions import ClosedWindow, DeadLettered, Decision, DroppedRecord, Forgotten
from triptych.worker.alignment.entry import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable


def dropped(decisions: Iterable[Decision]) -> list[str]:
    """Return the reasons of the dropped records."""
    return [decision.reason for decision in decisions if isinstance(decision, DroppedRecord)]


def test_a_redriven_record_is_late_for_an_open_window_and_is_no_repeat() -> None:
    """It neither joins nor closes a window, whatever its watermark and `seq`."""
    script = Script("video")
    script.video(0, at=100, seq=0)
    script.video(1, at=101, seq=2, watermark=1.5)
    redriven = script.video(0.5, at=102, seq=1, redriven=True, watermark=9)
    script.video(2.5, at=103, seq=3)
    decisions = decide(script.entries, until=110)

    assert late(decisions) == [redriven]
    assert dropped(decisions) == []
    assert closed(decisions) == [(0, 2, "progress")]
    assert [entry.offset for entry in windows(decisions)[0].items["video"]] == [0, 1]


def test_a_redriven_record_of_an_old_session_is_late_and_starts_no_stream() -> None:
    """One is of a session that its track has left, one of a forgotten stream."""
    script = Script("video")
    script.video(0, at=100, session="old")
    script.video(10, at=110, session="new")
    redriven = script.video(1, at=111, session="old", redriven=True)
    again = script.video(1, at=2000, session="old", redriven=True, tracks=("video", "audio"))
    decisions = decide(script.entries, until=4000)

    assert late(decisions) == [redriven, again]
    assert dropped(decisions) == []
    forgotten = [decision for decision in decisions if isinstance(decision, Forgotten)]
    assert len(forgotten) == 1
    after = decisions[decisions.index(forgotten[0]) :]
    assert not [decision for decision in after if isinstance(decision, ClosedWindow)]


def test_redriven_control_records_are_dropped() -> None:
    """A redriven end ends no track, and a redriven progress record advances no watermark."""
    script = Script("video")
    script.video(0, at=100)
    script.progress("video", 50, at=101, watermark=50, redriven=True)
    script.end("video", 50, at=102, redriven=True)
    decisions = decide(script.entries, until=105)

    assert dropped(decisions) == ["redriven", "redriven"]
    assert closed(decisions) == []


def test_a_redriven_record_that_is_dead_again_is_dead_lettered_but_not_counted() -> None:
    """A window counted it the first time."""
    script = Script("video")
    script.video(0, at=100)
    redriven = script.dead("video", at=101, redriven=True)
    script.video(3, at=102)
    decisions = decide(script.entries, until=105)

    assert [(o.entry, o.counted) for o in decisions if isinstance(o, DeadLettered)] == [(redriven, False)]
    assert [window.dead for window in windows(decisions).values()] == [0]


def test_a_record_redriven_by_another_pipeline_is_skipped() -> None:
    """The input topics are shared, and this pipeline has already processed the record."""
    script = Script("video")
    script.video(0, at=100)
    script.entries[-1] = replace(script.dead("video", at=101), kind=Kind.OTHER_PIPELINE, redriven=True)

    assert dropped(decide(script.entries, until=105)) == ["other_pipeline"]
