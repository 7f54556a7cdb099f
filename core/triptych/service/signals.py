"""Signal handling: the first SIGINT or SIGTERM stops gracefully, the second one exits at once, SIGHUP reloads.

The context managers restore the previous handlers on exit.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from threading import Event
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_EXIT_BY_SIGNAL: Final = 128


@contextmanager
def stop_on_signal() -> Iterator[Event]:
    """Yield an event that the first SIGINT or SIGTERM sets. The second one exits the process at once."""
    stop = Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        if stop.is_set():
            os._exit(_EXIT_BY_SIGNAL + number)
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class ReloadSignal:
    """A request to reload the model. Any thread or signal handler may send it; one thread waits for it."""

    def __init__(self) -> None:
        """Create a signal that has not been sent."""
        # A SimpleQueue is reentrant. `Event.set` in a handler can deadlock if a second signal interrupts it.
        self._sent: SimpleQueue[None] = SimpleQueue()

    def send(self) -> None:
        """Wake the waiting thread, or the next one to wait."""
        self._sent.put(None)

    def wait(self, limit_s: float | None) -> bool:
        """Block until the signal is sent. Return True, or False after `limit_s`. Several sends count as one."""
        try:
            self._sent.get(timeout=limit_s)
        except Empty:
            return False
        with suppress(Empty):
            while True:
                self._sent.get_nowait()
        return True


@contextmanager
def reload_on_hangup(stop: Event) -> Iterator[ReloadSignal]:
    """Yield a signal that SIGHUP sends. If SIGHUP comes because the terminal was closed, set `stop` instead."""
    reload_signal = ReloadSignal()
    on_terminal = sys.stderr.isatty()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        if on_terminal and not sys.stderr.isatty():
            stop.set()
        else:
            reload_signal.send()

    before = signal.signal(signal.SIGHUP, on_signal)
    try:
        yield reload_signal
    finally:
        signal.signal(signal.SIGHUP, before)
