"""The states of sensors in event time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from triptych.consumers.alerts.event_tracker import EventLimits
from triptych.consumers.alerts.mqtt import sensors
from triptych.consumers.alerts.mqtt.sensors import REMOVED_AFTER, REMOVED_AFTER_NS, SensorOptions, SensorTracker
from triptych.schemas.perception.matches import Match
from triptych.schemas.perception.objects import ObjectCount
from triptych.units import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.consumers.conftest import MakeResult


def states(make_result: MakeResult, pattern: str, limits: EventLimits) -> str:
    """Return the states of a rule's sensor: `x` or `.` for each window of 2 s that matches or not, ` ` for a gap."""
    tracker, shown = SensorTracker(SensorOptions(limits=limits)), ""
    for number, window in enumerate(pattern):
        if window != " ":
            tracker.update(make_result(number), matches=window == "x")
            tracker.restore(json.loads(json.dumps(tracker.to_document())))  # a restart changes nothing
        shown += "x" if tracker.feeds["city"].rule.on else "."
    return shown


@pytest.mark.parametrize(
    ("hold_s", "cool_down_s", "windows", "expected"),
    [
        (0, 0, ".xx..x.", ".xx..x."),
        (4, 0, "x.xx.xxx.", "...x..xx."),
        (0, 4, "x..xx...x", "xx.xxx..x"),
        (0, 4, "x.x.x..", "xxxxxx."),
        (4, 4, "xx..xx.", ".xx..xx"),
        (4, 4, "xx x.", ".xxxx"),
        (4, 4, "xx   x.", ".xxxx.."),
        (0, 0, "x .", "xx."),
    ],
)
def test_a_sensor_is_on_from_the_hold_to_the_cool_down(
    make_result: MakeResult, hold_s: int, cool_down_s: int, windows: str, expected: str
) -> None:
    """Windows last 2 s. A gap ends a hold, and a sensor that is on stays so until a window says otherwise."""
    assert states(make_result, windows, EventLimits(hold_s * NS_PER_S, cool_down_s * NS_PER_S)) == expected


def test_revisions_and_repeated_windows_change_nothing(make_result: MakeResult) -> None:
    """They come after later windows."""
    tracker = SensorTracker(SensorOptions())
    assert tracker.update(make_result(1), matches=True) is not None
    late = make_result(1)
    revised = late.model_copy(update={"revision": 1, "id": f"{late.window}/1"})
    assert tracker.update(revised, matches=False) is None
    assert tracker.update(make_result(0), matches=False) is None
    assert tracker.feeds["city"].rule.on


def match(score: float) -> Match:
    """Return a match with a score."""
    return Match(score=score, log_odds=0.0)


WINDOWS_UNTIL_REMOVED = REMOVED_AFTER_NS // (2 * NS_PER_S)


def prompts_after(make_result: MakeResult, windows: Iterable[int], **changes: Any) -> list[str]:  # noqa: ANN401 - as in a result
    """Return the prompts with sensors after some windows of 2 s, none with `siren`, which window 0 has."""
    tracker = SensorTracker(SensorOptions(prompt_score=0.5))
    matches = {"siren": match(0.9), "dog": match(0.1)}
    tracker.update(make_result(0, matches=matches, prompts_version="1"), matches=False)
    for number in windows:
        tracker.update(make_result(number, **changes), matches=False)
        tracker.restore(json.loads(json.dumps(tracker.to_document())))  # a restart changes nothing
    return sorted(tracker.feeds["city"].prompts)


@pytest.mark.parametrize(("windows", "is_kept"), [(WINDOWS_UNTIL_REMOVED - 1, True), (WINDOWS_UNTIL_REMOVED, False)])
def test_a_prompt_is_removed_when_new_prompts_lack_it_for_ten_minutes(
    make_result: MakeResult, windows: int, *, is_kept: bool
) -> None:
    """Not before: the audio that it is matched with may be out."""
    changes = {"matches": {"dog": match(0.8)}, "prompts_version": "2"}
    kept = prompts_after(make_result, range(1, 1 + windows), **changes)
    assert kept == (["dog", "siren"] if is_kept else ["dog"])


@pytest.mark.parametrize(("windows", "is_kept"), [(WINDOWS_UNTIL_REMOVED - 1, True), (WINDOWS_UNTIL_REMOVED, False)])
def test_a_worker_without_prompts_removes_sensors_only_after_ten_minutes(
    make_result: MakeResult, windows: int, *, is_kept: bool
) -> None:
    """It may have just started."""
    assert prompts_after(make_result, range(1, 1 + windows)) == (["dog", "siren"] if is_kept else [])


def test_a_prompt_is_not_removed_after_a_gap(make_result: MakeResult) -> None:
    """The time begins with the first result without it, not with the last one that had it."""
    windows = range(WINDOWS_UNTIL_REMOVED, WINDOWS_UNTIL_REMOVED + 2 * REMOVED_AFTER)
    assert "siren" in prompts_after(make_result, windows, matches={"dog": match(0.8)}, prompts_version="2")


def test_a_few_results_over_ten_minutes_remove_no_prompt(make_result: MakeResult) -> None:
    """Ten must lack it."""
    windows = [number * WINDOWS_UNTIL_REMOVED for number in range(1, 1 + REMOVED_AFTER)]
    assert "siren" in prompts_after(make_result, windows[:-1], matches={}, prompts_version="2")
    assert "siren" not in prompts_after(make_result, windows, matches={}, prompts_version="2")


def test_windows_without_a_source_remove_no_prompt(make_result: MakeResult) -> None:
    """With the same prompts it is known that the prompt is still there."""
    windows = range(1, 2 * WINDOWS_UNTIL_REMOVED)
    assert prompts_after(make_result, windows, matches={}, prompts_version="1") == ["dog", "siren"]


def test_the_file_of_an_earlier_program_is_read(make_result: MakeResult) -> None:
    """It says how many results lacked a prompt, and not since when: the ten minutes begin."""
    tracker = SensorTracker(SensorOptions(prompt_score=0.5))
    tracker.update(make_result(0, matches={"siren": match(0.9)}, prompts_version="1"), matches=False)
    document = tracker.to_document()
    del document["city"]["prompts"]["siren"]["missing_since_ns"]
    document["city"]["prompts"]["siren"]["missing"] = REMOVED_AFTER
    tracker.restore(document)
    tracker.update(make_result(1, prompts_version="2"), matches=False)
    assert list(tracker.feeds["city"].prompts) == ["siren"]


def test_sensors_that_are_not_wanted_any_more_are_removed(make_result: MakeResult) -> None:
    """A run without `--people` and `--prompts` after one with them."""
    counts = {"people": ObjectCount(median=2, largest=3)}
    before = SensorTracker(SensorOptions(prompt_score=0.5, people=True))
    before.update(make_result(0, counts=counts, matches={"dog": match(1)}, prompts_version="1"), matches=False)
    assert before.feeds["city"].people == 3
    tracker = SensorTracker(SensorOptions())
    tracker.restore(before.to_document())
    change = tracker.update(make_result(1, counts=counts), matches=False)
    assert change is not None
    assert (change.removed_prompts, change.removed_people) == (("dog",), True)


def test_the_feed_that_was_silent_for_longest_is_forgotten(
    make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that feeds with ever new names take bounded memory."""
    monkeypatch.setattr(sensors, "MOST_FEEDS", 2)
    tracker = SensorTracker(SensorOptions())
    for stream in ("a", "b", "a"):
        tracker.update(make_result(len(tracker.feeds), stream), matches=True)
    change = tracker.update(make_result(0, "c"), matches=True)
    assert change is not None
    assert list(change.forgotten) == ["b"]
