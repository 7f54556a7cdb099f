"""The states of sensors in event time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from triptych.consumers.alerts.event_tracker import EventLimits
from triptych.consumers.alerts.mqtt import sensors
from triptych.consumers.alerts.mqtt.sensors import REMOVED_AFTER, SensorOptions, SensorTracker
from triptych.schemas.perception.matches import Match
from triptych.schemas.perception.objects import ObjectCount
from triptych.units import NS_PER_S

if TYPE_CHECKING:
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


def test_a_prompt_is_removed_when_new_prompts_lack_it(make_result: MakeResult) -> None:
    """Not when one window has no source for it: then the prompts are still the same."""
    tracker = SensorTracker(SensorOptions(prompt_score=0.5))
    tracker.update(make_result(0, matches={"fire": match(0.9), "dog": match(0.1)}, prompts_version="1"), matches=False)
    prompts = tracker.feeds["city"].prompts
    assert {name: known.condition.on for name, known in prompts.items()} == {"fire": True, "dog": False}
    for number in range(1, 3 * REMOVED_AFTER):
        change = tracker.update(make_result(number, matches={}, prompts_version="1"), matches=False)
        assert change is not None
        assert change.removed_prompts == ()
    assert not prompts["fire"].condition.on
    removed = []
    for number in range(100, 100 + REMOVED_AFTER):
        change = tracker.update(make_result(number, matches={"dog": match(0.8)}, prompts_version="2"), matches=False)
        assert change is not None
        removed.append(change.removed_prompts)
    assert removed == [*[()] * (REMOVED_AFTER - 1), ("fire",)]
    assert list(prompts) == ["dog"]


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
