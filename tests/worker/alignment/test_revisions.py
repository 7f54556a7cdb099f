"""Alignment rules 23 to 26: late items revise closed windows, within bounds of event time and bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from tests.worker.alignment.script import CONFIG, Reading, Script, decide, late, ns, offsets, windows
from triptych.worker.alignment.decisions import ClosedWindow, Decision, EvictedRevisionState, Forgotten, LateItem
from triptych.worker.alignment.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triptych.worker.alignment.entry import Entry

REVISE: Final = replace(CONFIG, allowed_lateness_ns=ns(10))


def issued(decisions: Iterable[Decision]) -> list[tuple[float, int]]:
    """Return the start, in seconds, and the revision of each result, in order."""
    return [(o.start_ns / 1e9, o.revision) for o in decisions if isinstance(o, ClosedWindow)]


def revisions(decisions: Iterable[Decision]) -> list[ClosedWindow]:
    """Return the revisions among the results."""
    return [decision for decision in decisions if isinstance(decision, ClosedWindow) and decision.revision]


def revising(decisions: Iterable[Decision]) -> list[Entry]:
    """Return the late items that revise a window."""
    return [decision.entry for decision in decisions if isinstance(decision, LateItem) and decision.revises]


def live_video(*, until_s: int) -> Script:
    """Return a log with a frame every second and an audio track that becomes idle."""
    script = Script("video", "audio")
    for second in range(until_s):
        script.video(second, at=100 + second, watermark=second + 1)
    return script


# --- which windows, and when ------------------------------------------------------------------------------------------


def test_a_late_item_revises_its_window_which_keeps_its_other_items() -> None:
    """The audio arrives after the window has closed without it."""
    script = live_video(until_s=16)
    chunk = script.audio(8, 9, at=115.2)
    decisions = decide(script.entries, until=118, config=REVISE)
    first, again = windows_at(decisions, 8)

    assert late(decisions) == revising(decisions) == [chunk]
    assert (first.revision, first.states["audio"], first.closed_by) == (0, "idle", "idle")
    assert (again.revision, again.states["audio"], again.closed_by) == (1, "present", "idle")
    assert offsets(again.items["video"]) == offsets(first.items["video"]) == [8, 9]
    assert again.items["audio"] == (chunk,)
    assert again.added == {"audio": 1}
    assert again.snapshot.clock_ns == ns(116.2)  # one second (`revise_after`) later


def windows_at(decisions: Iterable[Decision], start_s: float) -> list[ClosedWindow]:
    """Return the results of the window that starts at `start_s`."""
    return [o for o in decisions if isinstance(o, ClosedWindow) and o.start_ns == ns(start_s)]


def test_late_items_that_arrive_together_cause_one_revision() -> None:
    """Those within `revise_after` of the first one share a revision. Later ones cause the next."""
    script = live_video(until_s=17)
    for number, at in enumerate((116.1, 116.5, 117.0, 118.0)):
        script.audio(8 + number / 2, 8.5 + number / 2, at=at)
    decisions = decide(script.entries, until=120, config=REVISE)

    assert [(w.start_ns / 1e9, w.revision, w.added) for w in revisions(decisions)] == [
        (8, 1, {"audio": 3}),
        (8, 2, {"audio": 1}),
    ]
    assert [len(w.items["audio"]) for w in revisions(decisions)] == [3, 4]


def test_a_late_item_revises_each_closed_window_that_it_overlaps_and_joins_the_open_one() -> None:
    """A cue that extends into an open window is in all of them."""
    script = Script("video", "subtitles")
    for second in range(14):
        script.video(second, at=100 + second, watermark=second + 1)
    cue = script.cue(9, 15, at=113.1, watermark=16)
    script.video(14, at=114, watermark=16)
    decisions = decide(script.entries, until=118, config=REVISE)

    assert late(decisions) == []
    assert [(w.start_ns / 1e9, w.added) for w in revisions(decisions)] == [
        (start, {"subtitles": 1}) for start in (8, 10, 12)
    ]
    assert all(cue in w.items["subtitles"] for w in [*revisions(decisions), *windows_at(decisions, 14)])


@pytest.mark.parametrize(("lateness_s", "revised"), [(3, []), (5, [(8, 1)]), (4, []), (None, [])])
def test_a_window_is_revisable_while_its_end_is_within_the_allowed_lateness(
    lateness_s: float | None, revised: list[tuple[float, int]]
) -> None:
    """The window is [8 s, 10 s) and the next one to close starts at 14 s. Exactly the lateness is too late."""
    script = live_video(until_s=14)
    script.audio(8, 9, at=114.2)
    config = replace(CONFIG, allowed_lateness_ns=None if lateness_s is None else ns(lateness_s))
    decisions = decide(script.entries, until=118, config=config)

    assert [window for window in issued(decisions) if window[1]] == revised
    assert len(late(decisions)) == 1
    assert len(revising(decisions)) == len(revised)


def test_a_skipped_empty_window_is_issued_as_a_revision() -> None:
    """It had no first result."""
    config = replace(REVISE, max_empty=1, allowed_lateness_ns=ns(60))
    script = Script("video", "audio")
    script.video(0, at=100, watermark=1)
    script.audio(0, 1, at=100)
    script.end("audio", 1, at=100)
    script.video(30, at=101, watermark=31)
    script.audio(20, 21, at=101.5, session="t", tracks=())
    decisions = decide(script.entries, until=103, config=replace(config, max_hold_ns=0))

    (revised,) = revisions(decisions)
    assert windows_at(decisions, 20) == [revised]
    assert (revised.revision, revised.closed_by, revised.states["video"]) == (1, "end", "empty")


def test_a_late_frame_is_not_held_for_later_windows() -> None:
    """Windows with an older held frame keep it."""
    script = Script("video", "audio")
    script.video(1, at=100, watermark=20)
    for second in range(0, 12, 2):
        script.audio(second, second + 2, at=100 + second)
    frame = script.video(5, at=112, watermark=20)
    decisions = decide(script.entries, until=114, config=REVISE)

    (revised,) = revisions(decisions)
    assert (revised.start_ns, revised.states["video"], revised.held) == (ns(4), "present", None)
    assert revised.items["video"] == (frame,)
    script.audio(12, 14, at=114)
    after = windows(decide(script.entries, until=115, config=replace(REVISE, max_hold_ns=ns(30))))[12]
    assert offsets([after.held] if after.held else []) == [0]


def test_a_revised_window_without_a_frame_keeps_its_held_frame() -> None:
    """Even if the frame's own window is not revisable any more."""
    script = Script("video", "audio", "subtitles")
    frame = script.video(1, at=100, watermark=30)
    script.cue(0, 1, at=100, watermark=3)
    for second in range(0, 12, 2):
        script.audio(second, second + 2, at=111 + second)
    script.cue(9, 9.5, at=123, watermark=30)
    decisions = decide(script.entries, until=126, config=replace(REVISE, allowed_lateness_ns=ns(3)))

    *_, revised = revisions(decisions)
    assert (revised.start_ns, revised.states["video"], revised.held) == (ns(8), "held", frame)


# --- redriven records -------------------------------------------------------------------------------------------------


def test_a_redriven_item_revises_its_window_and_replaces_the_original() -> None:
    """It has the same session and `seq`."""
    script = Script("video")
    for second in range(4):
        script.video(second, at=100 + second, watermark=second + 1)
    redriven = script.video(1, at=110, seq=1, redriven=True)
    decisions = decide(script.entries, until=112, config=REVISE)

    (revised,) = revisions(decisions)
    assert offsets(revised.items["video"]) == [0, redriven.offset]
    assert revised.added == {"video": 1}


def test_a_redriven_item_for_an_open_window_revises_it_after_it_has_closed() -> None:
    """The window closes without it, whenever it arrives."""
    script = Script("video")
    script.video(0, at=100)
    redriven = script.video(0.5, at=101, seq=7, redriven=True)
    script.video(5, at=110, watermark=6)
    decisions = decide(script.entries, until=112, config=REVISE)

    assert issued(decisions)[0] == (0, 0)
    first, revised = windows_at(decisions, 0)
    assert redriven not in first.items["video"]
    assert redriven in revised.items["video"]
    assert revised.snapshot.clock_ns == ns(111)


def test_a_redriven_item_for_a_window_that_never_closes_is_late_in_the_end() -> None:
    """Its stream is forgotten before the window closes."""
    script = Script("video")
    script.video(0, at=100)
    script.video(0.5, at=100.1, watermark=0.6)
    script.progress("video", 3, at=100.2, watermark=1)
    redriven = script.video(2.5, at=101, seq=7, redriven=True)
    config = replace(REVISE, idle_timeout_ns=2 * CONFIG.stream_ttl_ns)
    decisions = decide(script.entries, until=800, config=config)

    assert [(o.entry, o.revises) for o in decisions if isinstance(o, LateItem)] == [(redriven, True), (redriven, False)]
    assert revisions(decisions) == []


# --- the byte bound ---------------------------------------------------------------------------------------------------


def test_at_the_byte_bound_the_oldest_revisable_windows_are_evicted_first() -> None:
    """Revisable windows close no open window."""
    script = Script("video")
    for second in range(20):
        script.video(second, at=100 + second, watermark=second + 1)
    decisions = decide(script.entries, until=121, config=replace(REVISE, stream_max_bytes=60))

    evicted = [decision for decision in decisions if isinstance(decision, EvictedRevisionState)]
    assert evicted
    assert [o.start_ns for o in evicted] == sorted(o.start_ns for o in evicted)
    assert {w.closed_by for w in windows(decisions).values()} == {"progress"}


def test_a_pending_revision_is_issued_before_its_window_is_evicted() -> None:
    """No item that revises a window is lost."""
    script = live_video(until_s=16)
    chunk = script.audio(8, 9, at=115.2, size_bytes=40)
    for number in range(10):
        script.video(16 + number / 10, at=115.3, watermark=16, size_bytes=30)
    decisions = decide(script.entries, until=115.5, config=replace(REVISE, stream_max_bytes=200))

    (revised,) = revisions(decisions)
    assert chunk in revised.items["audio"]
    assert (revised.stream, ns(8)) in {(o.stream, o.start_ns) for o in decisions if isinstance(o, EvictedRevisionState)}


def test_revisions_do_not_prolong_the_life_of_a_stream() -> None:
    """Late items do not restart the TTL. Pending revisions are issued before the stream is forgotten."""
    script = Script("video", "audio")
    script.video(0, at=100)
    script.end("video", 1, at=100)
    script.end("audio", 1, at=100)
    script.audio(0, 1, at=500, session="t", tracks=())
    script.end("audio", 1, at=500.1, session="t", tracks=())
    script.audio(1, 2, at=699.9, session="u", tracks=())
    decisions = decide(script.entries, until=2000, config=replace(REVISE, revise_after_ns=ns(5)))

    assert issued(decisions) == [(0, 0), (0, 1), (0, 2)]
    assert isinstance(decisions[-1], Forgotten)
    assert [w.snapshot.clock_ns for w in revisions(decisions)] == [ns(505), ns(700)]


def test_a_restart_after_a_revision_does_not_prolong_the_life_of_a_stream() -> None:
    """The snapshot has the start of the TTL apart from the time of the revision."""
    script = Script("video", "audio")
    script.video(0, at=100)
    script.end("video", 1, at=100)
    script.end("audio", 1, at=100)
    script.audio(0, 1, at=500, session="t", tracks=())
    script.end("audio", 1, at=500.1, session="t", tracks=())
    (revised,) = revisions(decide(script.entries, until=600, config=REVISE))
    reading = Reading(REVISE, restored={"city": Snapshot.from_json(revised.snapshot.to_json())})

    assert reading.read(*script.entries) == []
    assert [*reading.ask(699), *reading.ask(699)] == []
    assert [type(decision) for decision in reading.ask(701)] == [Forgotten]


# --- restart ----------------------------------------------------------------------------------------------------------


def busy() -> Script:
    """Return a log with late audio, a late cue that extends into an open window, and a redriven frame."""
    script = live_video(until_s=16)
    script.audio(8, 9, at=115.2)
    script.audio(9, 9.5, at=116.9)
    script.cue(7, 15, at=116.9, watermark=20)
    script.video(3, at=117, seq=3, redriven=True)
    script.video(16, at=117.5, watermark=18)
    script.audio(12, 13, at=119.5)
    return script


def test_a_restart_after_any_result_makes_exactly_the_results_that_follow() -> None:
    """The snapshot has the revision numbers, the late items since and the kept records."""
    config = replace(REVISE, allowed_lateness_ns=ns(30))
    undisturbed = decide(busy().entries, until=130, config=config)
    made = [decision for decision in undisturbed if isinstance(decision, ClosedWindow)]
    assert len(revisions(undisturbed)) == 8
    for count, window in enumerate(made, start=1):
        state = Snapshot.from_json(window.snapshot.to_json())
        reading = Reading(config, restored={"city": state})
        again = [*reading.read(*busy().entries), *reading.ask(130), *reading.ask(130)]

        assert observable(again) == observable(made[count:])


def observable(decisions: Iterable[Decision]) -> list[tuple[object, ...]]:
    """Return what a consumer of results sees, in order."""
    return [
        (o.start_ns, o.revision, o.closed_by, o.skipped, o.dead, o.states, o.items, o.held, o.added)
        for o in decisions
        if isinstance(o, ClosedWindow)
    ]


def test_the_records_of_a_revisable_window_are_not_finished() -> None:
    """A restart has to read them again. Without revisions they are finished with their window."""
    script = live_video(until_s=16)
    entries = script.entries
    kept = windows(decide(entries, until=116, config=REVISE))[12].snapshot
    dropped = windows(decide(entries, until=116))[12].snapshot

    assert [kept.is_finished("video", offset) for offset in (3, 4, 13)] == [True, False, False]
    assert [dropped.is_finished("video", offset) for offset in (4, 12)] == [True, True]


def test_a_snapshot_of_another_window_size_or_late_policy_is_restored() -> None:
    """The settings changed between two starts: windows that have closed are not revised any more."""
    script = live_video(until_s=14)
    state = windows(decide(script.entries, until=114, config=replace(REVISE, max_hold_ns=ns(3))))[10].snapshot
    script.audio(8, 9, at=115.2)
    script.video(15, at=116, watermark=18)
    for config in (CONFIG, replace(REVISE, size_ns=ns(4), hop_ns=ns(4)), REVISE):
        reading = Reading(config, restored={"city": Snapshot.from_json(state.to_json())})
        decisions = [*reading.read(*script.entries), *reading.ask(130), *reading.ask(130)]

        assert bool(revisions(decisions)) == (config is REVISE)
        assert len(late(decisions)) == 1
        assert offsets(next(iter(windows(decisions).values())).items["video"])[:2] == [12, 13]
