"""Events instead of windows: hold, cool-down, gaps, and restarts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.consumers.alerts.event_tracker import EventLimits, EventTracker
from triptych.consumers.subscription.since import duration_ns
from triptych.schemas.errors import UsageError
from triptych.schemas.names import result_id
from triptych.schemas.results import Modalities, ModalityReport, ModelReference, Result

S = 1_000_000_000
ABSENT = ModalityReport(state="absent")


def window(number: int, *, stream: str = "city", revision: int = 0) -> Result:
    """Return the result of a window of 2 s."""
    start_ns = number * 2 * S
    return Result(
        id=result_id(stream, start_ns, start_ns + 2 * S, revision),
        stream=stream,
        start_ns=start_ns,
        end_ns=start_ns + 2 * S,
        revision=revision,
        closed_by="progress",
        published_ns=1,
        modalities=Modalities(video=ABSENT, audio=ABSENT, subtitles=ABSENT),
        model=ModelReference(name="base", version="1", sha256="a" * 64),
    )


def alerted(tracker: EventTracker, holds: str, first: int = 0) -> list[int]:
    """Return the windows with which an event begins. `x` is a window that matches, `.` one that does not, ` ` none."""
    return [
        first + number
        for number, sign in enumerate(holds)
        if sign != " " and tracker.begins(window(first + number), matches=sign == "x") is not None
    ]


@pytest.mark.parametrize(
    ("hold_s", "cool_down_s", "holds", "expected"),
    [
        (0, 1, "..xxx.x", [2, 6]),  # the end of the first event is more than a second ago
        (2, 0, "..xxx.x", [2, 6]),
        (5, 0, "..xx.xxxxx.xxx", [7, 13]),  # three windows are the first to be 5 s
        (0, 60, "..xxx.xx", [2]),
        (0, 6, "x...xx", [0, 4]),
        (0, 6, "x..xxxx", [0, 4]),  # alerted as soon as the cool-down is over, for it still holds
        (4, 0, "x x x xx", [7]),  # a gap ends what held
        (4, 20, "x.x.x.xx", [7]),  # what was no event begins no cool-down
    ],
)
def test_one_alert_for_an_event(hold_s: int, cool_down_s: int, holds: str, expected: list[int]) -> None:
    """However many windows it has."""
    tracker = EventTracker(EventLimits(hold_s * S, cool_down_s * S))
    assert alerted(tracker, holds) == expected


def test_streams_do_not_share_events_and_revisions_begin_none() -> None:
    """A repeated result changes nothing either."""
    tracker = EventTracker(EventLimits(hold_ns=4 * S))
    assert tracker.begins(window(0), matches=True) is None
    assert tracker.begins(window(1, stream="gate"), matches=True) is None
    assert tracker.begins(window(0), matches=False) is None
    assert tracker.begins(window(0, revision=1), matches=False) is None
    assert tracker.begins(window(1), matches=True) == 0


@given(
    signs=st.text(alphabet="x. ", max_size=30),
    hold_s=st.integers(0, 7),
    cool_down_s=st.integers(1, 20),
    cut=st.integers(0, 30),
)
def test_a_restart_changes_nothing(signs: str, hold_s: int, cool_down_s: int, cut: int) -> None:
    """What is saved is all there is."""
    limits = EventLimits(hold_s * S, cool_down_s * S)
    undisturbed = alerted(EventTracker(limits), signs)
    tracker = EventTracker(limits)
    before = alerted(tracker, signs[:cut])
    restarted = EventTracker.from_document(limits, json.loads(json.dumps(tracker.to_document())))
    assert before + alerted(restarted, signs[cut:], first=len(signs[:cut])) == undisturbed


def test_durations_have_a_unit() -> None:
    """The error names the option."""
    assert [duration_ns(text, "--hold") for text in (None, "5s", "2m")] == [0, 5 * S, 120 * S]
    with pytest.raises(UsageError, match="--hold: expected a duration such as 5s"):
        duration_ns("5", "--hold")
