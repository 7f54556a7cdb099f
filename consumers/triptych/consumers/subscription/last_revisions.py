"""The last revision of each window, in two passes over the same results.

A revision may come any number of results after the one that it replaces. The first pass finds which windows were
revised, the second returns the last revision of each window. Only the ids of revised windows are in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from triptych.consumers.subscription.cursor import Since
from triptych.consumers.subscription.result_buffer import Delivery
from triptych.consumers.subscription.subscriber import Subscriber

if TYPE_CHECKING:  # importing a subscriber must not import pydantic
    from triptych.schemas.results import Result


def last_revisions(subscriber: Subscriber, stream: str | None = None, since: Since | None = None) -> Iterator[Delivery]:
    """Iterate over the results that exist at the first step, of each window its last revision. Blocks while it reads.

    What is published later is left out, revisions too. `stream` and `since` are those of `Subscriber.results`. What is
    wrong in the results (invalid, deleted before it was read) is logged and counted in each of the two passes.

    Raises:
        UsageError: `stream` or `since` is invalid.
        TriptychError: the results cannot be read.
    """
    with subscriber.results(stream, since, until_end=True, revisions="all") as results:
        last = revised_windows(results)
        end = results.cursor
    with subscriber.results(stream, since, until=end, revisions="all") as results:
        for delivery in results.deliveries():
            if delivery.result.revision == last.get(delivery.result.window, 0):
                yield delivery


def revised_windows(results: Iterable[Result]) -> dict[str, int]:
    """Return the last revision of each window that was revised."""
    last: dict[str, int] = {}
    for result in results:
        if result.revision > last.get(result.window, 0):
            last[result.window] = result.revision
    return last
