"""Results as the reading thread hands them over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from triptych.consumers.page.state.feed_state import ReadResult
from triptych.consumers.page.state.newest_window import newest_window
from triptych.consumers.page.state.seen_window import ResultPlace, seen_window
from triptych.schemas.perception.matches import Match
from triptych.schemas.results import Result

if TYPE_CHECKING:
    from tests.consumers.conftest import MakeResult

ReadAs = Callable[..., ReadResult]


@pytest.fixture
def read_as(make_result: MakeResult) -> ReadAs:
    """Make the result of a window, read from the next place of a partition of the results topic."""
    offsets = Counter[int]()

    def read(number: int, stream: str = "city", *, partition: int = 0, **changes: Any) -> ReadResult:  # noqa: ANN401 - any field of a result
        fire = changes.pop("fire", None)
        if fire is not None:
            changes["matches"] = {"fire": Match(score=fire, log_odds=0.0)}
        rules = changes.pop("rules", ())
        revision = changes.get("revision", 0)
        result = make_result(number, stream)
        if revision:
            changes["id"] = f"{result.window}/{revision}"
        result = Result(**(dict(result) | changes))
        place = ResultPlace(partition, offsets[partition])
        offsets[partition] += 1
        return ReadResult(result, place, seen_window(result, place), newest_window(result), rules)

    return read
