"""What measures the event loop goes on whatever fails."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

from structlog.testing import capture_logs

from triptych.consumers.page.loop_meter import LoopMeter
from triptych.consumers.page.web.parts import PageParts


def test_a_step_that_fails_is_logged_once_and_repeated() -> None:
    """Else the probe of a page that answers would say that it hangs."""
    beats: list[bool] = [False, False, True, False, True]
    stop = asyncio.Event()

    def beat() -> None:
        if not beats.pop(0):
            raise ZeroDivisionError
        if not beats:
            stop.set()

    with capture_logs() as logs:
        asyncio.run(asyncio.wait_for(LoopMeter(Mock(spec=PageParts), beat, tick_s=0.0).run(stop), 60))
    assert beats == []
    assert [entry["event"] for entry in logs] == ["page_meter_failed", "page_meter_failed"]
