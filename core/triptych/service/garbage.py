"""Keeps the objects of a program's start out of Python's garbage collections.

A full collection visits every object, also the hundreds of thousands that the imports and the model have left. It
stops all threads meanwhile, for a tenth of a second or more. Objects that are frozen are not visited. While they are
built, few collections find anything to free: they would be a tenth of the start.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_USUAL_THRESHOLDS: Final = gc.get_threshold()
_START_THRESHOLDS: Final = (50_000, 20, 100)
"""Of allocations, and of collections of the two younger generations. Python's are 700, 10 and 10."""


def collect_rarely_until_frozen() -> None:
    """Collect garbage rarely from now until `present_objects_frozen`. For the start of a program that lasts."""
    gc.set_threshold(*_START_THRESHOLDS)


@contextmanager
def present_objects_frozen() -> Iterator[None]:
    """Exclude the objects that are in use now from collections, until the end of the block.

    Unreachable ones are freed first. Stops all threads for as long as a full collection takes. From then on, garbage is
    collected as often as usual.
    """
    gc.set_threshold(*_USUAL_THRESHOLDS)
    gc.collect()  # what is frozen unreachable would stay until the end
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def collect_frozen_objects() -> None:
    """Free the frozen objects that are unreachable, such as a replaced model, and freeze the others again.

    Stops all threads for as long as a full collection takes.
    """
    if gc.get_freeze_count():
        gc.unfreeze()
        gc.collect()
        gc.freeze()
