"""The comparison of windows with what producers sent: what is missing is found, and what was said to be shed is not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tests.chaos.truth import FinalWindow, Item, Place, Truth, TruthComparison, compare_with_truth, final_windows

if TYPE_CHECKING:
    from triptych.schemas.names import Modality

SECOND = 10**9
HALF = SECOND // 2


def picture(at_ns: int, stream: str = "a") -> Item:
    """Return a picture."""
    return Item(stream, "video", at_ns, at_ns + 1)


def chunk(at_ns: int) -> Item:
    """Return a chunk of half a second."""
    return Item("a", "audio", at_ns, at_ns + HALF)


def cue(start_ns: int, end_ns: int) -> Item:
    """Return a cue."""
    return Item("a", "subtitles", start_ns, end_ns)


SENT: Sequence[Item] = (
    *(picture(number * HALF) for number in range(6)),
    *(chunk(number * HALF) for number in range(6)),
    cue(HALF, 2 * SECOND),
)
"""Three seconds: two pictures and two chunks in each, and a cue in the first two."""


def log_of(items: Sequence[Item]) -> dict[Place, Item]:
    """Return a log with these items, each modality on its own topic."""
    ends: dict[Modality, int] = {"video": 0, "audio": 0, "subtitles": 0}
    log: dict[Place, Item] = {}
    for item in items:
        log[Place(item.modality, 3, ends[item.modality])] = item
        ends[item.modality] += 1
    return log


def document(start_ns: int, contents: Sequence[Item], log: Mapping[Place, Item], **changes: object) -> bytes:
    """Return the result of a window of a second with these items."""
    reports: dict[str, Any] = {}
    for modality in ("video", "audio", "subtitles"):
        offsets = [place.offset for place, item in log.items() if item in contents and item.modality == modality]
        where = {"partition": 3, "offsets": [min(offsets), max(offsets)]} if offsets else {"offsets": None}
        reports[modality] = {"items": len(offsets), **where}
    words = [{"start_ns": item.start_ns, "end_ns": item.end_ns} for item in contents if item.modality == "subtitles"]
    own = {
        "stream": "a",
        "start_ns": start_ns,
        "end_ns": start_ns + SECOND,
        "revision": 0,
        "closed_by": "progress",
        "modalities": reports,
        "observations": {"words": words},
    }
    return json.dumps(own | changes).encode()


def within(start_ns: int, items: Sequence[Item]) -> list[Item]:
    """Return the items of the window of a second that starts then."""
    return [item for item in items if item.start_ns < start_ns + SECOND and item.end_ns > start_ns]


def windows_of(items: Sequence[Item], log: Mapping[Place, Item]) -> list[FinalWindow]:
    """Return the three windows of a worker that has these items."""
    return final_windows(document(at * SECOND, within(at * SECOND, items), log) for at in range(3))


def compare(windows: Sequence[FinalWindow], log: Mapping[Place, Item], **shed: int) -> TruthComparison:
    """Compare windows with what was sent."""
    return compare_with_truth(Truth(SENT, shed), windows, log, size_ns=SECOND)


def test_windows_with_all_that_was_sent_are_true() -> None:
    """By number and by time, a cue in each window that it overlaps."""
    log = log_of(SENT)
    found = compare(windows_of(SENT, log), log)
    assert found.is_true
    assert (found.windows, found.items, found.excepted) == (3, 13, 0)


def test_a_missing_picture_makes_a_window_hollow() -> None:
    """It is on the topic, so nobody shed it."""
    log = log_of(SENT)
    found = compare(windows_of([item for item in SENT if item != picture(SECOND)], log), log)
    [fault] = found.faults
    assert (fault.kind, fault.stream, fault.start_ns) == ("hollow", "a", SECOND)
    assert str(fault) == (
        "a 00:00:01.000: hollow, 1 of 2 video items (closed by progress, revision 0); "
        "sent at video 00:00:01.000, video 00:00:01.500"
    )


def test_a_missing_cue_and_a_missing_chunk_are_found() -> None:
    """Each in the windows that lack it."""
    log = log_of(SENT)
    lacking = [item for item in SENT if item not in {cue(HALF, 2 * SECOND), chunk(2 * SECOND)}]
    faults = compare(windows_of(lacking, log), log).faults
    assert [(fault.kind, fault.start_ns) for fault in faults] == [("hollow", at * SECOND) for at in range(3)]


def test_the_newest_revision_counts() -> None:
    """A window that was hollow and then completed is true; one that was complete and then hollow is not."""
    log = log_of(SENT)
    hollow = document(0, within(0, SENT)[:1], log)
    complete = document(0, within(0, SENT), log, revision=1)
    others = [document(at * SECOND, within(at * SECOND, SENT), log) for at in (1, 2)]
    assert compare(final_windows([complete, hollow, *others]), log).is_true
    spoiled = document(0, within(0, SENT)[:1], log, revision=2)
    assert compare(final_windows([complete, spoiled, *others]), log).count("hollow") == 1


def test_what_a_producer_said_it_shed_is_excepted_exactly() -> None:
    """One picture that was said to be shed; a second one that was not makes a difference."""
    lacking = [item for item in SENT if item != picture(SECOND)]
    log = log_of(lacking)
    windows = windows_of(lacking, log)
    found = compare(windows, log, a=1)
    assert found.is_true
    assert found.excepted == 1
    assert compare(windows, log).unsaid == [
        "a: 1 items are missing, 0 were said to be shed: video 00:00:01.000",
    ]
    fewer = [item for item in lacking if item != chunk(0)]
    assert not compare(windows_of(fewer, log_of(fewer)), log_of(fewer), a=1).is_true


def test_an_item_of_another_time_is_found() -> None:
    """On the topic, and in a window: the number is right, and the time is wrong."""
    moved = [picture(SECOND + HALF // 2) if item == picture(SECOND) else item for item in SENT]
    log = log_of(moved)
    found = compare(windows_of(moved, log), log)
    assert found.unsaid == [
        "a: 1 items are missing, 0 were said to be shed: video 00:00:01.000",
        "a: 1 items were never sent: video 00:00:01.250",
    ]

    log = log_of(SENT)
    other = [*within(0, SENT), picture(SECOND)]
    other.remove(picture(HALF))
    windows = final_windows(
        [document(0, other, log), *(document(at * SECOND, within(at * SECOND, SENT), log) for at in (1, 2))]
    )
    [fault] = compare(windows, log).faults
    assert (fault.kind, fault.start_ns) == ("wrong", 0)


def test_words_of_another_time_are_found() -> None:
    """The result has the cue's record, but says other times."""
    log = log_of(SENT)
    words = {"words": [{"start_ns": 0, "end_ns": SECOND}]}
    first = document(0, within(0, SENT), log, observations=words)
    others = [document(at * SECOND, within(at * SECOND, SENT), log) for at in (1, 2)]
    assert [fault.kind for fault in compare(final_windows([first, *others]), log).faults] == ["wrong"]


def test_a_window_that_is_not_there_is_lost_and_an_empty_one_is_not_missed() -> None:
    """A window is expected where something was sent for it."""
    log = log_of(SENT)
    found = compare(windows_of(SENT, log)[:2], log)
    assert [(fault.kind, fault.start_ns) for fault in found.faults] == [("lost", 2 * SECOND)]


def test_more_than_was_sent_is_wrong() -> None:
    """An item of the window before."""
    log = log_of(SENT)
    first = document(0, [*within(0, SENT), picture(SECOND)], log)
    others = [document(at * SECOND, within(at * SECOND, SENT), log) for at in (1, 2)]
    assert [fault.kind for fault in compare(final_windows([first, *others]), log).faults] == ["wrong"]


def test_a_repeat_on_the_topic_is_not_a_second_item() -> None:
    """A record that was sent twice is used once, at its first place. Results of other streams are ignored."""
    log = log_of([*SENT, picture(0)])
    windows = windows_of(SENT, log_of(SENT))
    other = document(0, [], log, stream="other")
    assert compare([*windows, *final_windows([other])], log).is_true


def test_what_a_producer_says_must_be_possible() -> None:
    """It said that it sent more than there is."""
    log = log_of(SENT)
    truth = Truth(SENT) + Truth([], {}, ["b: it said that it sent 5 records"])
    assert compare_with_truth(truth, windows_of(SENT, log), log, size_ns=SECOND).unsaid == [
        "b: it said that it sent 5 records"
    ]
