"""A first SIGINT or SIGTERM asks to stop, a second one exits at once; the old handlers come back afterwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
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
