"""The part of a subscription that has no I/O: duplicates, revisions, gaps and positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.consumers.subscription.result_buffer import Counts, Delivery, ResultBuffer
from triptych.consumers.subscription.result_source import Gap, MalformedEvent, OtherStreamEvent, ResultEvent
from triptych.schemas.errors import MalformedRecordError

if TYPE_CHECKING:
    from tests.consumers.conftest import MakeResult
    from triptych.schemas.results import Result


def event(result: Result, position: int) -> ResultEvent:
    """Return the event of a result on partition 0."""
    return ResultEvent("0", str(position), result, b"{}")


def revised(result: Result, revision: int) -> Result:
    """Return a revision of a result."""
    change = {"id": f"{result.window}/{revision}", "revision": revision}
    return result.model_copy(update=change)


def test_a_duplicate_is_dropped_and_its_position_kept(make_result: MakeResult) -> None:
    """A cursor taken now does not lead to reading the duplicate again."""
    counts = Counts()
    buffer = ResultBuffer(counts, revisions="newest")
    buffer.add([event(make_result(0), 1), event(make_result(0), 2)])

    assert buffer.take() == Delivery(make_result(0), b"{}")
    assert buffer.positions == {"0": "1"}
    assert buffer.take() is None
    assert buffer.positions == {"0": "2"}
    assert (counts.delivered, counts.repeated) == (1, 1)


def test_positions_count_only_what_was_taken(make_result: MakeResult) -> None:
    """Fetched events that still wait are read again after a restart."""
    buffer = ResultBuffer(Counts(), revisions="newest")
    buffer.add([event(make_result(number), number + 1) for number in range(3)])

    assert buffer.positions == {}
    buffer.take()
    assert buffer.positions == {"0": "1"}


def test_a_known_revision_supersedes_waiting_results(make_result: MakeResult) -> None:
    """With `all`, every revision is delivered."""
    first, second = make_result(0), revised(make_result(0), 1)
    for revisions, expected in (("newest", [second]), ("all", [first, second])):
        counts = Counts()
        buffer = ResultBuffer(counts, revisions=revisions)  # type: ignore[arg-type]
        buffer.add([event(first, 1)])
        buffer.add([event(second, 2)])
        taken = [buffer.take() for _ in expected]
        assert taken == [Delivery(result, b"{}") for result in expected]
        assert buffer.take() is None
        assert counts.superseded == 2 - len(expected)


def test_gaps_and_malformed_entries_are_counted_and_returned(make_result: MakeResult) -> None:
    """The caller reports them. A gap of unknown size counts as a gap only."""
    gap, unknown = Gap("0", "5", 4), Gap("0", "9", None)
    malformed = MalformedEvent("0", "6", MalformedRecordError("value", "JSON", b"{"))
    counts = Counts()
    buffer = ResultBuffer(counts, revisions="newest")
    buffer.add([gap, malformed, OtherStreamEvent("0", "7"), event(make_result(0), 8), unknown])

    assert [buffer.take() for _ in range(4)] == [gap, malformed, Delivery(make_result(0), b"{}"), unknown]
    assert (counts.gaps, counts.missed, counts.malformed, counts.delivered) == (2, 4, 1, 1)
    assert buffer.positions == {"0": "9"}
