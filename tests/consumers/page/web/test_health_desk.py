"""A look at the pipeline that fails ends nothing."""

from __future__ import annotations

import asyncio
from contextlib import closing
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from triptych.consumers.page.reading.pipeline_look import PipelineLook
from triptych.consumers.page.state.page_state import PageState
from triptych.consumers.page.web import health_desk
from triptych.consumers.page.web.health_desk import HealthDesk
from triptych.consumers.page.web.threads import BlockingCalls
from triptych.schemas.errors import TriptychError


@pytest.mark.parametrize("error", [TriptychError("the group has no name"), ZeroDivisionError("a defect")])
def test_looks_that_fail_are_logged_once_and_repeated(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Until one succeeds. Without it the counts of the page would stay as they are for ever."""
    monkeypatch.setattr(health_desk, "_RETRY_S", 0.0)
    seen = Mock(spec=PipelineLook)
    looks: list[Exception | PipelineLook] = [error, error, error, seen]

    async def follow() -> HealthDesk:
        stop = asyncio.Event()

        def look() -> PipelineLook:
            found = looks.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

        with closing(BlockingCalls("look", 1)) as calls:
            desk = HealthDesk(look, calls, Mock(spec=PageState))
            keeping = asyncio.create_task(desk.keep_fresh(lambda: True, stop))
            while desk.last is None:
                assert not keeping.done()
                await asyncio.sleep(0)
            stop.set()
            await keeping
        return desk

    with capture_logs() as logs:
        assert asyncio.run(asyncio.wait_for(follow(), 60)).last is seen
    assert [(entry["event"], entry["reason"]) for entry in logs] == [("page_look_failed", str(error))]
