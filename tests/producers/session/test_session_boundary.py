"""Sessions that follow one another at once: no window loses what the second brings."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.worker.world import SECOND, T0, Feed, World
from triptych.producers.session.session_boundary import PATIENCE_NS, SessionBoundary
from triptych.schemas.names import Modality
from triptych.schemas.records import End, InputRecord
from triptych.worker.observability.events import LateItemReceived, RecordDropped


@pytest.fixture
def world() -> World:
    """Give an empty installation in memory."""
    return World()


BOTH: tuple[Modality, ...] = ("video", "audio")


def two_sessions() -> tuple[list[InputRecord], list[InputRecord]]:
    """Return the records of a feed that is lost after 2.5 s, and that is back at 3 s, its picture first."""
    before, after = (Feed("door", session, T0, BOTH) for session in ("a", "b"))
    first = [*(before.frame(at / 4) for at in range(10)), *(before.chunk(at / 2) for at in range(5))]
    second = [*(after.frame(3 + at / 4) for at in range(4)), *(after.chunk(3 + at / 2) for at in range(2))]
    ends = [[feed.end(modality, over) for modality in BOTH] for feed, over in ((before, 2.5), (after, 4))]
    return [*first, *ends[0]], [*second, *ends[1]]


def joined(records: Sequence[InputRecord], *, every_ns: int = 0) -> list[InputRecord]:
    """Return what is sent of records that come so far apart."""
    seam, now_ns, sent = SessionBoundary(), 0, list[InputRecord]()
    for record in records:
        now_ns += every_ns
        sent += [*seam.overdue(now_ns), *seam.join(record, now_ns)]
    return [*sent, *seam.rest()]


def ends(records: Sequence[InputRecord]) -> list[tuple[str, Modality]]:
    """Return whose ends were sent."""
    return [(record.session, record.modality) for record in records if isinstance(record, End)]


def test_the_track_that_goes_on_first_needs_no_end() -> None:
    """Those of the others come just before it; nothing else is held back or lost."""
    before, after = two_sessions()
    sent = joined([*before, *after])

    assert ends(sent) == [("a", "audio"), ("b", "video"), ("b", "audio")]
    assert [one for one in sent if not isinstance(one, End)] == [
        one for one in [*before, *after] if not isinstance(one, End)
    ]
    assert sent.index(after[0]) == len(before) - 1


def test_a_feed_that_stays_away_is_ended_soon() -> None:
    """No window should wait for it, nor when nothing follows at all."""
    before, after = two_sessions()
    assert ends(joined([*before, *after], every_ns=PATIENCE_NS)) == [(one, of) for one in "ab" for of in BOTH]
    assert ends(joined(before)) == [("a", "video"), ("a", "audio")]


@pytest.mark.parametrize("seamed", [True, False])
def test_the_window_of_a_break_holds_what_comes_before_and_after_it(world: World, *, seamed: bool) -> None:
    """And nothing is late, or seems to come from a second producer; with all ends at once the rest would be late."""
    before, after = two_sessions()
    world.send(joined([*before, *after]) if seamed else [*before, *after])
    world.work()

    results = sorted(world.results(), key=lambda result: result.start_ns)
    assert [(result.start_ns - T0) // SECOND for result in results] == [0, 2]
    assert results[1].modalities.video.items == (2 + 4 if seamed else 2)
    assert results[1].modalities.audio.items == (1 + 2 if seamed else 1)
    assert bool(world.seen(LateItemReceived)) is not seamed
    assert not world.seen(RecordDropped)
