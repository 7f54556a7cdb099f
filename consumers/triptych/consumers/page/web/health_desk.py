"""What the last look at the pipeline found. It takes seconds, so it is repeated seldom, and only while one asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from triptych.consumers.page.api_types import HealthCounts
from triptych.consumers.page.reading.pipeline_look import PipelineLook, findings
from triptych.consumers.page.state.page_state import PageState
from triptych.consumers.page.web.access import PageUser
from triptych.consumers.page.web.threads import BlockingCalls
from triptych.schemas.errors import TriptychError

log = structlog.get_logger(__name__)

_FRESH_S: Final = 15.0
_RETRY_S: Final = 1.0
_LOOK: Final = "look"


class HealthDesk:
    """Looks at the pipeline in a thread, one look at a time."""

    def __init__(self, look: Callable[[], PipelineLook], calls: BlockingCalls, state: PageState) -> None:
        """Look at nothing yet."""
        self._look = look
        self._calls = calls
        self._state = state
        self._last: PipelineLook | None = None
        self._last_s = 0.0
        self._counted: dict[tuple[str, ...], tuple[int, int]] = {}

    @property
    def last(self) -> PipelineLook | None:
        """What was seen last; None before the first look has ended."""
        return self._last

    async def fresh(self) -> PipelineLook:
        """Return what is seen now, or was seen some seconds ago."""
        if self._last is None or time.monotonic() - self._last_s > _FRESH_S:
            self._last = await self._calls.run(_LOOK, self._look)
            self._last_s = time.monotonic()
            self._counted.clear()
        return self._last

    async def keep_fresh(self, is_wanted: Callable[[], bool], stop: asyncio.Event) -> None:
        """Look again and again while somebody wants to know, until a stop.

        A look that fails is logged, once for failures in a row, and repeated.
        """
        is_failing = False
        while not stop.is_set():
            if is_wanted():
                try:
                    await self.fresh()
                except Exception as error:  # the next look may succeed, and requests for the health say why not
                    if not is_failing:
                        is_defect = not isinstance(error, TriptychError)
                        log.warning("page_look_failed", reason=str(error), exc_info=is_defect)
                    is_failing = True
                else:
                    is_failing = False
            try:
                await asyncio.wait_for(stop.wait(), _RETRY_S)
            except TimeoutError:
                continue

    def counts(self, user: PageUser) -> HealthCounts:
        """Return the counts that a client is told."""
        if user.feeds not in self._counted:
            found = () if self._last is None else findings(self._last, user.may_see)
            severities = [finding.severity for finding in found]
            self._counted[user.feeds] = severities.count("wrong"), severities.count("note")
        wrong, notes = self._counted[user.feeds]
        return self._state.health_counts(user.may_see, wrong=wrong, notes=notes)
