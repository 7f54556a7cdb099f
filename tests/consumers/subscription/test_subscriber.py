"""The guarantees of a subscription, tested in memory, on a real Redis and on a real Kafka."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from triptych.consumers.subscription.cursor import Cursor
from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    from tests.consumers.conftest import Bench, MakeResult
    from triptych.consumers.subscription.result_source import Gap
    from triptych.consumers.subscription.subscriber import Results
    from triptych.schemas.results import Result

LIMIT_S = 60


def by_stream(results: list[Result]) -> dict[str, list[str]]:
    """Return the ids by stream, in order."""
    ids: dict[str, list[str]] = {}
    for result in results:
        ids.setdefault(result.stream, []).append(result.id)
    return ids


def everything(bench: Bench, **options: Any) -> list[Result]:  # noqa: ANN401 - what `results` takes
    """Return all results."""
    with bench.subscriber() as subscriber:
        return list(subscriber.results(until_end=True, **options))


def test_everything_is_delivered_in_order_and_then_it_ends(bench: Bench, make_result: MakeResult) -> None:
    """With `until_end`, each stream is complete and in order."""
    made = [make_result(number, stream) for number in range(250) for stream in ("a", "b", "c")]
    bench.publish(*made)
    assert by_stream(everything(bench)) == by_stream(made)


def test_the_newest_revision_of_a_window_is_delivered_or_all(bench: Bench, make_result: MakeResult) -> None:
    """A superseded result is left out; one that was delivered already is followed by its revision."""
    windows = [make_result(number) for number in range(3)]
    first, second = (
        make_result(1, id=f"{windows[1].window}/{revision}", revision=revision, revised={"added": {"audio": revision}})
        for revision in (1, 2)
    )
    bench.publish(*windows, first)
    with bench.subscriber() as subscriber:
        results = subscriber.results()
        taken = [next(results) for _ in range(3)]
        bench.publish(second)
        taken.append(next(results))
        assert taken == [windows[0], windows[2], first, second]
        assert (subscriber.counts.superseded, subscriber.counts.repeated) == (1, 0)
        assert {result.window for result in taken[2:]} == {windows[1].window}

    assert everything(bench) == [windows[0], windows[2], second]
    assert everything(bench, revisions="all") == [*windows, first, second]


def test_an_empty_source_ends_at_once(bench: Bench) -> None:
    """A pipeline without results is not an error."""
    assert everything(bench) == []
    assert everything(bench, stream="nobody") == []


def test_until_end_ends_at_the_last_result_at_the_start(bench: Bench, make_result: MakeResult) -> None:
    """Later results are not delivered."""
    bench.publish(make_result(0))
    with bench.subscriber() as subscriber:
        results = subscriber.results(until_end=True)
        bench.publish(make_result(1), make_result(0, "late"))
        assert list(results) == [make_result(0)]


def test_one_stream(bench: Bench, make_result: MakeResult) -> None:
    """Only the requested stream is delivered, also if others share its partition."""
    streams = [f"s{number}" for number in range(9)]
    bench.publish(*(make_result(number, stream) for number in range(5) for stream in streams))
    assert everything(bench, stream="s4") == [make_result(number, "s4") for number in range(5)]


def test_the_document_is_the_published_one(bench: Bench, make_result: MakeResult) -> None:
    """It is not encoded again."""
    bench.publish(make_result(0))
    with bench.subscriber() as subscriber:
        [delivery] = subscriber.results(until_end=True).deliveries()
    assert delivery.document == make_result(0).model_dump_json().encode()
    assert delivery.result == make_result(0)


def test_later_results_and_new_streams_are_delivered(bench: Bench, make_result: MakeResult) -> None:
    """Without `until_end`."""
    bench.publish(make_result(0))
    with bench.subscriber() as subscriber:
        results = subscriber.results()
        assert next(results) == make_result(0)
        bench.publish(make_result(1))
        assert next(results) == make_result(1)
        bench.publish(make_result(0, "new"))
        assert next(results) == make_result(0, "new")


def test_a_cursor_continues_after_the_last_result_taken(bench: Bench, make_result: MakeResult) -> None:
    """Even if more had been fetched: no loss, no duplicates. The cursor is text."""
    made = [make_result(number, stream) for number in range(20) for stream in ("a", "b", "c")]
    bench.publish(*made)
    taken: list[Result] = []
    cursor: str | None = None
    for count in (1, 7, 30):
        with bench.subscriber() as subscriber:
            results = subscriber.results(since=cursor)
            taken += islice(results, count)
            cursor = str(results.cursor)
    bench.publish(make_result(20, "a"), make_result(0, "new"))
    taken += everything(bench, since=cursor)
    assert by_stream(taken) == by_stream([*made, make_result(20, "a"), make_result(0, "new")])


def test_a_cursor_at_the_end_continues_with_later_results(bench: Bench, make_result: MakeResult) -> None:
    """A subscription to the end, and another one from there."""
    bench.publish(make_result(0))
    with bench.subscriber() as subscriber:
        results = subscriber.results(until_end=True)
        assert list(results) == [make_result(0)]
        bench.publish(make_result(1))
        assert list(subscriber.results(since=results.cursor, until_end=True)) == [make_result(1)]


def test_since_a_publication_time(bench: Bench, make_result: MakeResult, between: Callable[[], int]) -> None:
    """As nanoseconds, text and datetime; also for a stream without earlier results."""
    bench.publish(make_result(0), make_result(1))
    moment_ns = between()
    moment = datetime.fromtimestamp(moment_ns / 1e9, UTC)
    bench.publish(make_result(2), make_result(0, "new"))
    wanted = by_stream([make_result(2), make_result(0, "new")])
    for since in (moment_ns, str(moment_ns), moment, moment.isoformat()):
        assert by_stream(everything(bench, since=since)) == wanted


def test_since_now(bench: Bench, make_result: MakeResult) -> None:
    """Skips everything that exists, and misses nothing after it."""
    bench.publish(make_result(0))
    with bench.subscriber() as subscriber:
        results = subscriber.results(since="now")
        bench.publish(make_result(1), make_result(0, "new"))
        assert by_stream(list(islice(results, 2))) == by_stream([make_result(1), make_result(0, "new")])


def test_duplicates_are_dropped(bench: Bench, make_result: MakeResult) -> None:
    """An id is delivered once, however often it was published."""
    bench.publish_twice(make_result(0))
    bench.publish(make_result(1))
    with bench.subscriber() as subscriber:
        assert list(subscriber.results(until_end=True)) == [make_result(0), make_result(1)]
        assert subscriber.counts.repeated == 1
        assert subscriber.counts.delivered == 2


@pytest.mark.parametrize("junk", [b"", b"{", b'{"schema_version": 1}', b"\xff\xfe"])
def test_invalid_results_are_skipped_and_counted(bench: Bench, make_result: MakeResult, junk: bytes) -> None:
    """They do not end the subscription."""
    bench.publish(make_result(0))
    bench.publish_junk("city", junk)
    bench.publish(make_result(1))
    with bench.subscriber() as subscriber:
        assert list(subscriber.results(until_end=True)) == [make_result(0), make_result(1)]
        assert subscriber.counts.malformed == 1


def test_a_result_under_another_streams_name_is_skipped(bench: Bench, make_result: MakeResult) -> None:
    """It counts as invalid."""
    bench.publish(make_result(0))
    bench.publish_junk("city", make_result(0, "other").model_dump_json().encode())
    assert everything(bench) == [make_result(0)]


def test_a_slow_reader_is_told_of_missed_results(bench: Bench, make_result: MakeResult) -> None:
    """Results deleted before they were read are counted and reported; then the subscription continues."""
    bench.publish(*(make_result(number) for number in range(3)))
    gaps: list[Gap] = []
    with bench.subscriber() as subscriber:
        results = subscriber.results()
        next(results)
        cursor = str(results.cursor)
    bench.publish(*(make_result(number) for number in range(3, 10)))
    bench.delete_before_last("city")
    with bench.subscriber(gaps.append) as subscriber:
        assert list(subscriber.results(since=cursor, until_end=True)) == [make_result(9)]
        assert subscriber.counts.missed == 8
    assert [gap.missed for gap in gaps] == [8]


def test_results_deleted_before_the_start_are_not_a_gap(bench: Bench, make_result: MakeResult) -> None:
    """The subscription starts with what is left."""
    bench.publish(*(make_result(number) for number in range(5)))
    bench.delete_before_last("city")
    with bench.subscriber() as subscriber:
        assert list(subscriber.results(until_end=True)) == [make_result(4)]
        assert subscriber.counts.gaps == 0


@pytest.mark.parametrize("how", ["stop", "close"])
def test_another_thread_can_end_a_waiting_subscription(bench: Bench, make_result: MakeResult, how: str) -> None:
    """The iteration ends. Closing twice is harmless."""
    bench.publish(make_result(0))
    subscriber = bench.subscriber()
    seen: list[Result] = []
    first = threading.Event()

    def follow(results: Results) -> None:
        for result in results:
            seen.append(result)
            first.set()

    follower = threading.Thread(target=follow, args=(subscriber.results(),))
    follower.start()
    assert first.wait(LIMIT_S)
    getattr(subscriber, how)()
    follower.join(LIMIT_S)
    assert not follower.is_alive()
    subscriber.close()
    subscriber.close()
    assert seen == [make_result(0)]


def test_a_closed_subscription_has_ended(bench: Bench, make_result: MakeResult) -> None:
    """Even if more had been fetched."""
    bench.publish(*(make_result(number) for number in range(5)))
    with bench.subscriber() as subscriber, subscriber.results() as results:
        next(results)
        results.close()
        assert list(results) == []


def test_two_subscriptions_are_independent(bench: Bench, make_result: MakeResult) -> None:
    """Each gets all results."""
    bench.publish(*(make_result(number) for number in range(5)))
    with bench.subscriber() as subscriber:
        pairs = list(zip(subscriber.results(until_end=True), subscriber.results("city", until_end=True), strict=True))
    assert [left for left, _ in pairs] == [right for _, right in pairs] == [make_result(number) for number in range(5)]


@pytest.mark.parametrize("since", ["yesterday", "2026-01-01", "2026-01-01T00:00:00", -1, 1_767_225_600, "redis.x"])
def test_an_invalid_since_is_rejected(memory_bench: Bench, since: str | int) -> None:
    """With what was expected and what came."""
    with memory_bench.subscriber() as subscriber, pytest.raises(UsageError, match="since: expected"):
        subscriber.results(since=since)


def test_a_cursor_of_another_source_or_pipeline_is_rejected(memory_bench: Bench, redis_bench: Bench) -> None:
    """Positions are only valid in one source."""
    cursors = []
    for bench in (memory_bench, redis_bench):
        with bench.subscriber() as subscriber:
            cursors.append(str(subscriber.results().cursor))
    for bench, cursor in zip((redis_bench, memory_bench), cursors, strict=True):
        with bench.subscriber() as subscriber, pytest.raises(UsageError, match="pipeline"):
            subscriber.results(since=cursor)


def test_an_invalid_stream_is_rejected(memory_bench: Bench) -> None:
    """It must not wait forever."""
    with memory_bench.subscriber() as subscriber, pytest.raises(UsageError, match="stream id"):
        subscriber.results("no such stream")


def test_a_second_pass_ends_where_the_first_one_did(bench: Bench, make_result: MakeResult) -> None:
    """What was published since is left out, in old streams and in new ones, also where all that was read is deleted."""
    bench.publish(*(make_result(number, stream) for number in range(3) for stream in ("city", "hall")))
    with bench.subscriber() as subscriber:
        with subscriber.results(until_end=True) as first:
            read = sorted(result.id for result in first)
            end = first.cursor
        bench.publish(make_result(3, "city"), make_result(0, "roof"))

        assert sorted(result.id for result in subscriber.results(until=end)) == read
        since = subscriber.results("city", until_end=True)
        next(since)
        assert [result.id for result in subscriber.results("city", since.cursor, until=end)] == [
            make_result(number).id for number in (1, 2)
        ]
        assert list(subscriber.results(since=end, until=end)) == []

        bench.delete_before_last("city")
        assert list(subscriber.results("city", until=end)) == []


def test_a_cursor_of_another_pipeline_is_no_end(bench: Bench) -> None:
    """As with `since`."""
    with bench.subscriber() as subscriber, pytest.raises(UsageError, match="pipeline 'other'"):
        next(iter(subscriber.results(until=Cursor("redis" if bench.kind == "redis" else "kafka", "other", {}))))
