"""Hand over what the reading threads have read to the state, which belongs to the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Final

from triptych.consumers.page.state.feed_state import ReadResult
from triptych.consumers.page.state.page_state import PageState
from triptych.schemas.perception.descriptions import Description
from triptych.schemas.perception.prompts import Feedback
from triptych.service.health import Health

_WAIT_S: Final = 0.5


class LoopReceiver:
    """Takes what is read (see `ResultReceiver` and `SideReceiver`).

    Each call returns when the event loop has taken it, so a reading thread is never ahead by more than one batch.
    """

    def __init__(
        self,
        state: PageState,
        loop: Callable[[], asyncio.AbstractEventLoop | None],
        stop: threading.Event,
        health: Health,
    ) -> None:
        """Hand over to a state until a stop. `loop` returns the loop, once it runs."""
        self._state = state
        self._loop = loop
        self._stop = stop
        self._health = health

    def begin(self, epoch: str, begins: dict[int, int]) -> None:
        """Take where reading begins."""
        self._hand_over(lambda: self._state.begin(epoch, begins))

    def add_results(self, read: Sequence[ReadResult]) -> None:
        """Take the next results."""
        self._hand_over(lambda: self._state.add_results(read))

    def add_feedback(self, feedback: Feedback, offset: int) -> None:
        """Take an answer."""
        self._hand_over(lambda: self._state.add_feedback(feedback, offset))

    def add_description(self, description: Description, partition: int, offset: int) -> None:
        """Take a description."""
        self._hand_over(lambda: self._state.add_description(description, partition, offset))

    def count(self, name: str, number: int) -> None:
        """Count what was left out."""
        self._hand_over(lambda: self._state.counts.update({name: number}))

    def caught_up(self) -> None:
        """Take notice that all older results were read."""
        self._hand_over(self._catch_up)

    def _catch_up(self) -> None:
        self._state.catching_up = False
        self._health.set_ready("results", ready=True)

    def _hand_over(self, change: Callable[[], None]) -> None:
        loop = self._loop()
        taken = threading.Event()
        failed: list[BaseException] = []

        def apply() -> None:
            try:
                change()
            except BaseException as error:  # noqa: BLE001 - raised in the reading thread, which logs it
                failed.append(error)
            finally:
                taken.set()

        if loop is None or loop.is_closed():
            return
        loop.call_soon_threadsafe(apply)
        while not taken.wait(_WAIT_S) and not self._stop.is_set():
            continue
        if failed:
            raise failed[0]
