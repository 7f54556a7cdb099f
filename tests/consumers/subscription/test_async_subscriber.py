"""Guarantees of asynchronous subscriptions, in addition to the tests in `test_subscriber.py` for both kinds."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from triptych.consumers import AsyncSubscriber
from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    from tests.consumers.conftest import MakeResult, RedisBench, TopicBench
    from triptych.consumers.subscription.async_subscriber import AsyncResults
    from triptych.schemas.results import Result


def test_it_works_as_documented(redis_bench: RedisBench, make_result: MakeResult) -> None:
    """`async with` and `async for`, and nothing else."""
    made = [make_result(number) for number in range(5)]
    redis_bench.publish(*made)

    async def read() -> list[Result]:
        async with AsyncSubscriber.from_redis(redis_bench.url, pipeline=redis_bench.pipeline) as subscriber:
            return [result async for result in subscriber.results("city", until_end=True)]

    assert asyncio.run(read()) == made


def test_a_cancelled_wait_loses_nothing(redis_bench: RedisBench, make_result: MakeResult) -> None:
    """Each result is delivered once, and the cursor is after the last one taken."""
    made = [make_result(number) for number in range(40)]

    def at(results: AsyncResults) -> str:
        assert results.cursor is not None
        return results.cursor.positions.get("city", "0-0/0")

    async def read() -> list[Result]:
        subscriber = AsyncSubscriber(redis_bench.subscriber())
        taken: list[Result] = []
        async with subscriber, subscriber.results() as results:
            place = at(results)
            while len(taken) < 40:
                if len(taken) % 8 == 0:
                    redis_bench.publish(*made[len(taken) : len(taken) + 8])
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.0005):
                        taken.append(await anext(results))
                        place = at(results)
                assert at(results) == place
        return taken

    assert asyncio.run(asyncio.wait_for(read(), 60)) == made


def test_a_cancelled_start_is_not_repeated(redis_bench: RedisBench, make_result: MakeResult) -> None:
    """The next step awaits the same start."""
    redis_bench.publish(make_result(0))

    async def read() -> list[Result]:
        async with AsyncSubscriber(redis_bench.subscriber()) as subscriber:
            results = subscriber.results(until_end=True)
            waiter = asyncio.ensure_future(anext(results))
            await asyncio.sleep(0)
            waiter.cancel()
            return [result async for result in results]

    assert asyncio.run(read()) == [make_result(0)]


def test_waiting_subscriptions_do_not_block_the_event_loop(memory_bench: TopicBench, make_result: MakeResult) -> None:
    """More subscriptions than asyncio's default pool has threads wait; then all get the same result."""

    async def read() -> list[Result]:
        async with AsyncSubscriber(memory_bench.subscriber()) as subscriber:
            waiting = [asyncio.ensure_future(anext(subscriber.results())) for _ in range(40)]
            await asyncio.sleep(0.1)
            assert not any(waiter.done() for waiter in waiting)
            memory_bench.publish(make_result(0))
            return await asyncio.wait_for(asyncio.gather(*waiting), 60)

    assert asyncio.run(read()) == [make_result(0)] * 40


def test_closing_ends_waiting_subscriptions(redis_bench: RedisBench) -> None:
    """They end normally. Closing twice is harmless."""

    async def read() -> list[Result]:
        subscriber = AsyncSubscriber(redis_bench.subscriber())

        async def follow() -> list[Result]:
            return [result async for result in subscriber.results()]

        follower = asyncio.create_task(follow())
        await asyncio.sleep(0.05)
        await subscriber.close()
        await subscriber.close()
        return await asyncio.wait_for(follower, 60)

    assert asyncio.run(read()) == []


def test_invalid_arguments_are_rejected_at_once(memory_bench: TopicBench) -> None:
    """Before anything is awaited."""

    async def read() -> None:
        async with AsyncSubscriber(memory_bench.subscriber()) as subscriber:
            with pytest.raises(UsageError, match="stream id"):
                subscriber.results("no such stream")
            with pytest.raises(UsageError, match="since: expected"):
                subscriber.results(since="yesterday")

    asyncio.run(read())
