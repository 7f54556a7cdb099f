"""Keeps the objects of a program's start out of Python's garbage collections.

A full collection visits every object, also the hundreds of thousands that the imports and the model have left. It
stops all threads meanwhile, for a tenth of a second or more. Objects that are frozen are not visited.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def present_objects_frozen() -> Iterator[None]:
    """Exclude the objects that are in use now from collections, until the end of the block.

    Unreachable ones are freed first. Stops all threads for as long as a full collection takes.
    """
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
