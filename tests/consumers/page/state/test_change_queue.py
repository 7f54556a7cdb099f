"""What waits for a client: bounded, in order, and with a cursor that neither misses nor repeats."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from triptych.consumers.page.state.change_queue import ChangeKey, ChangeQueue
from triptych.consumers.page.state.page_cursor import Place

LOGS = ("r0", "r1", "f")


def tile(name: str) -> ChangeKey:
    """Return the key of a feed's tile."""
    return ChangeKey("tile", name)


def test_a_later_change_replaces_an_earlier_one() -> None:
    """A slow client gets the last state of each feed, once."""
    queue = ChangeQueue({})
    for offset in range(1_000):
        queue.add(tile("a"), "r0", Place(offset, 0))
    queue.add(tile("b"), "r0", Place(1_000, 0))
    assert (len(queue), queue.coalesced) == (2, 999)
    assert [queue.take(), queue.take(), queue.take()] == [tile("a"), tile("b"), None]


def test_the_cursor_is_before_the_first_change_that_waits() -> None:
    """Whoever continues from there misses nothing."""
    queue = ChangeQueue({"r0": Place(0, 0)})
    queue.add(tile("a"), "r0", Place(1, 0))
    queue.add(tile("b"), "r0", Place(2, 0))
    assert queue.places()["r0"] == Place(1, -1)
    queue.take()
    assert queue.places()["r0"] == Place(2, -1)
    queue.take()
    assert queue.places()["r0"] == Place(2, 0)


def test_what_concerns_others_moves_the_cursor_too() -> None:
    """Otherwise a client who sees few feeds would come back with a cursor that is long gone."""
    queue = ChangeQueue({"r0": Place(0, 0)})
    queue.note("r0", Place(9, 0))
    assert queue.places()["r0"] == Place(9, 0)


def test_a_change_without_a_place_leaves_the_cursor() -> None:
    """A feed that falls silent is in no log."""
    queue = ChangeQueue({"r0": Place(3, 0)})
    queue.add(tile("a"))
    assert queue.take() == tile("a")
    assert queue.places() == {"r0": Place(3, 0)}


def test_what_the_client_had_seen_is_left_out() -> None:
    """A server that was just started reads results that are older than the client's cursor."""
    queue = ChangeQueue({"r0": Place(5, 0)})
    queue.add(tile("a"), "r0", Place(4, 0))
    queue.add(tile("a"), "r0", Place(5, 0))
    assert len(queue) == 0
    queue.add(tile("a"), "r0", Place(6, 0))
    assert len(queue) == 1


def test_more_than_the_limit_lets_the_client_load_everything_again() -> None:
    """Nothing grows without bound."""
    queue = ChangeQueue({}, limit=2)
    for number in range(3):
        queue.add(tile(str(number)), "r0", Place(number, 0))
    assert queue.overflown
    assert len(queue) == 2


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(LOGS), st.booleans()), max_size=40), st.integers(0, 40)
)
def test_after_any_break_what_was_not_taken_comes_again(changes: list[tuple[str, str, bool]], taken: int) -> None:
    """The last change of each thing is taken before the break, or is behind the cursor."""
    queue = ChangeQueue({log: Place(-1, 0) for log in LOGS})
    last: dict[ChangeKey, dict[str, Place]] = {}
    got: set[ChangeKey] = set()
    for offset, (name, log, takes) in enumerate(changes):
        key, place = tile(name), Place(offset, 0)
        queue.add(key, log, place)
        last.setdefault(key, {})[log] = place
        got.discard(key)
        if takes and (found := queue.take()) is not None:
            got.add(found)
    for _ in range(min(taken, len(queue))):
        found = queue.take()
        assert found is not None
        got.add(found)
    cursor = queue.places()
    for key, places in last.items():
        if key not in got:
            assert any(place > cursor[log] for log, place in places.items())
