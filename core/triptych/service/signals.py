"""A first SIGINT or SIGTERM asks to stop, a second one exits at once; SIGHUP rings a bell.

The old handlers come back afterwards.
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
    """Yield the event that a first signal sets."""
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
    """Rung from anywhere, a signal's handler too, and heard by one thread."""

    def __init__(self) -> None:
        """Begin silent."""
        # An event may not be set in a handler: a second signal, coming while its lock is held, would wait for ever.
        self._rung: SimpleQueue[None] = SimpleQueue()

    def ring(self) -> None:
        """Wake the thread that waits, or the next one that does."""
        self._rung.put(None)

    def wait(self, limit_s: float | None) -> bool:
        """Return True when it was rung, once or several times, or False after the limit."""
        try:
            self._rung.get(timeout=limit_s)
        except Empty:
            return False
        with suppress(Empty):
            while True:
                self._rung.get_nowait()
        return True


@contextmanager
def bell_on_hangup(stop: Event) -> Iterator[ReloadSignal]:
    """Yield a bell that SIGHUP rings; where it comes because the program's terminal has gone, set `stop` instead."""
    reload_signal = ReloadSignal()
    on_terminal = sys.stderr.isatty()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        if on_terminal and not sys.stderr.isatty():
            stop.set()
        else:
            reload_signal.ring()

    before = signal.signal(signal.SIGHUP, on_signal)
    try:
        yield reload_signal
    finally:
        signal.signal(signal.SIGHUP, before)
