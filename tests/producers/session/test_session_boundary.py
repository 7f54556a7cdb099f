"""Sessions that follow each other at once: no window loses records of the second."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.worker.world import SECOND, T0, Feed, World
from triptych.producers.session.session_boundary import END_HOLD_NS, SessionBoundary
from triptych.schemas.names import Modality
from triptych.schemas.records import End, InputRecord
from triptych.worker.observability.events import LateItemReceived, RecordDropped


@pytest.fixture
def world() -> World:
    """Return an empty installation in memory."""
    return World()


BOTH: tuple[Modality, ...] = ("video", "audio")


def two_sessions() -> tuple[list[InputRecord], list[InputRecord]]:
    """Return the records of a feed that is lost after 2.5 s and back at 3 s, its video first."""
    before, after = (Feed("door", session, T0, BOTH) for session in ("a", "b"))
    first = [*(before.frame(at / 4) for at in range(10)), *(before.chunk(at / 2) for at in range(5))]
    second = [*(after.frame(3 + at / 4) for at in range(4)), *(after.chunk(3 + at / 2) for at in range(2))]
    ends = [[feed.end(modality, over) for modality in BOTH] for feed, over in ((before, 2.5), (after, 4))]
    return [*first, *ends[0]], [*second, *ends[1]]


def sent_of(records: Sequence[InputRecord], *, every_ns: int = 0) -> list[InputRecord]:
    """Return what is sent for records that arrive at this interval."""
    boundary, now_ns, sent = SessionBoundary(), 0, list[InputRecord]()
    for record in records:
        now_ns += every_ns
        sent += [*boundary.release_overdue(now_ns), *boundary.push(record, now_ns)]
    return [*sent, *boundary.release_all()]


def ends(records: Sequence[InputRecord]) -> list[tuple[str, Modality]]:
    """Return the session and track of each end that was sent."""
    return [(record.session, record.modality) for record in records if isinstance(record, End)]


def test_the_track_that_continues_first_has_no_end() -> None:
    """The ends of the other tracks come just before it. Nothing else is held back or lost."""
    before, after = two_sessions()
    sent = sent_of([*before, *after])

    assert ends(sent) == [("a", "audio"), ("b", "video"), ("b", "audio")]
    assert [one for one in sent if not isinstance(one, End)] == [
        one for one in [*before, *after] if not isinstance(one, End)
    ]
    assert sent.index(after[0]) == len(before) - 1


def test_a_feed_that_stays_lost_is_ended() -> None:
    """No window waits for it. The ends are also sent where nothing follows at all."""
    before, after = two_sessions()
    assert ends(sent_of([*before, *after], every_ns=END_HOLD_NS)) == [(one, of) for one in "ab" for of in BOTH]
    assert ends(sent_of(before)) == [("a", "video"), ("a", "audio")]


@pytest.mark.parametrize("held_back", [True, False])
def test_the_window_of_a_short_loss_has_records_of_both_sessions(world: World, *, held_back: bool) -> None:
    """Nothing is late or a duplicate. If all ends were sent at once, the second session's records would be late."""
    before, after = two_sessions()
    world.send(sent_of([*before, *after]) if held_back else [*before, *after])
    world.work()

    results = sorted(world.results(), key=lambda result: result.start_ns)
    assert [(result.start_ns - T0) // SECOND for result in results] == [0, 2]
    assert results[1].modalities.video.items == (2 + 4 if held_back else 2)
    assert results[1].modalities.audio.items == (1 + 2 if held_back else 1)
    assert bool(world.seen(LateItemReceived)) is not held_back
    assert not world.seen(RecordDropped)
