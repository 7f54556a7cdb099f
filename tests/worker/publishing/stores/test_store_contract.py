"""The contract of a result store, checked in memory and on real Redis servers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.worker.publishing.stores.conftest import Bench, MakeStored

MAX = 300
HOUR_NS = 3_600_000_000_000


def test_results_are_stored_unchanged_and_in_order(bench: Bench, make_stored: MakeStored) -> None:
    """The documents are equal byte for byte, and each is new."""
    batch = [make_stored(number) for number in range(5)]
    assert bench.store.write(batch) == (True,) * 5
    assert bench.results("city") == [stored.document for stored in batch]


def test_an_empty_batch_has_no_effect(bench: Bench) -> None:
    """No results and no keys."""
    assert bench.store.write([]) == ()
    assert bench.streams() == []


def test_a_duplicate_is_dropped_within_a_batch_and_between_batches(bench: Bench, make_stored: MakeStored) -> None:
    """An id is stored once, with the content that came first."""
    first, other = make_stored(0), make_stored(0, published_ns=1)
    assert bench.store.write([first, first]) == (True, False)
    assert bench.store.write([other, make_stored(1)]) == (False, True)
    assert bench.results("city") == [first.document, make_stored(1).document]


def test_a_revision_of_an_older_window_is_stored_but_not_the_latest(bench: Bench, make_stored: MakeStored) -> None:
    """A revision has its own id. The latest result belongs to the newest window."""
    bench.store.write([make_stored(0), make_stored(1)])
    revised = make_stored(0, revision=1)
    assert bench.store.write([revised]) == (True,)
    assert bench.results("city")[-1] == revised.document
    assert bench.latest("city") == make_stored(1).document


def test_a_revision_of_the_newest_window_is_the_latest(bench: Bench, make_stored: MakeStored) -> None:
    """It replaces the first result of its window."""
    bench.store.write([make_stored(0), make_stored(0, revision=1)])
    assert bench.latest("city") == make_stored(0, revision=1).document


def test_the_latest_is_the_newest_revision_in_any_order_of_arrival(bench: Bench, make_stored: MakeStored) -> None:
    """A worker may write the topic's tail again to an emptied store while new results arrive."""
    bench.store.write([make_stored(0, revision=2), make_stored(0), make_stored(0, revision=1)])
    assert bench.latest("city") == make_stored(0, revision=2).document
    bench.store.write([make_stored(1)])
    assert bench.latest("city") == make_stored(1).document


def test_streams_are_independent(bench: Bench, make_stored: MakeStored) -> None:
    """The same window of two streams is two results."""
    batch = [make_stored(0, stream="a"), make_stored(0, stream="b"), make_stored(0, stream="a")]
    assert bench.store.write(batch) == (True, True, False)
    assert bench.streams() == ["a", "b"]
    assert len(bench.results("a")) == len(bench.results("b")) == 1


def test_the_number_of_results_is_bounded(bench: Bench, make_stored: MakeStored) -> None:
    """The newest results stay. Redis may keep up to a hundred more."""
    batch = [make_stored(number) for number in range(3 * MAX)]
    assert all(bench.store.write(batch))
    kept = bench.results("city")
    assert MAX <= len(kept) <= MAX + 100
    assert kept == [stored.document for stored in batch[-len(kept) :]]


def test_a_duplicate_is_dropped_even_if_its_id_was_evicted(bench: Bench, make_stored: MakeStored) -> None:
    """A restarted worker writes the topic's tail again, which may be longer than the index."""
    batch = [make_stored(number) for number in range(2 * MAX)]
    bench.store.write(batch)
    before = bench.results("city")
    assert not any(bench.store.write(batch))
    assert bench.results("city") == before


def test_a_revision_after_its_window_was_evicted_is_stored(bench: Bench, make_stored: MakeStored) -> None:
    """A result published later is new, however old its window."""
    bench.store.write([make_stored(number) for number in range(2 * MAX)])
    now_ns = make_stored(2 * MAX).result.end_ns
    assert bench.store.write([make_stored(3, revision=1, published_ns=now_ns)]) == (True,)


def test_a_film_played_again_under_an_older_date_is_stored_once(bench: Bench, make_stored: MakeStored) -> None:
    """Its windows end before all stored ones, but are published after them, here in one batch."""
    bench.store.write([make_stored(number) for number in range(2 * MAX)])
    later_ns = make_stored(2 * MAX).result.end_ns + HOUR_NS
    again = [make_stored(-number, published_ns=later_ns) for number in range(MAX, 0, -1)]
    assert all(bench.store.write(again))
    assert not any(bench.store.write(again))


def test_results_of_an_owner_whose_clock_is_behind_are_stored(bench: Bench, make_stored: MakeStored) -> None:
    """Newer windows are stored although their time of publication is an hour earlier."""
    bench.store.write([make_stored(number) for number in range(2 * MAX)])
    behind = [
        make_stored(number, published_ns=make_stored(number).result.end_ns - HOUR_NS)
        for number in range(2 * MAX, 3 * MAX)
    ]
    assert all(bench.store.write(behind))
    assert not any(bench.store.write(behind))


def test_concurrent_writers_store_each_result_once(bench: Bench, make_stored: MakeStored) -> None:
    """Two owners may write the same results during a rebalance."""
    batch = [make_stored(number) for number in range(100)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: bench.store.write(batch), range(8)))
    assert [sum(column) for column in zip(*answers, strict=True)] == [1] * len(batch)
    assert sorted(bench.results("city")) == sorted(stored.document for stored in batch)


def test_the_latest_result_expires_and_returns_with_the_next_result(bench: Bench, make_stored: MakeStored) -> None:
    """After it expired any new result becomes the latest, even that of an older window."""
    bench.store.write([make_stored(5)])
    bench.wait_s(120)
    assert bench.latest("city") is None
    assert len(bench.results("city")) == 1
    bench.store.write([make_stored(3)])
    assert bench.latest("city") == make_stored(3).document


def test_all_keys_of_a_silent_stream_expire(bench: Bench, make_stored: MakeStored) -> None:
    """Other streams are not affected."""
    bench.store.write([make_stored(0, stream="old")])
    bench.wait_s(200)
    bench.store.write([make_stored(0, stream="young")])
    bench.wait_s(120)
    assert bench.results("old") == []
    assert bench.streams() == ["young"]
    assert bench.store.write([make_stored(0, stream="old")]) == (True,)


def test_a_store_can_be_pinged_and_closed_twice(bench: Bench) -> None:
    """`ping` returns. A second `close` does nothing."""
    bench.store.ping()
    bench.store.close()
    bench.store.close()
