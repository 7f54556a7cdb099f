"""Read a pipe so that a stop ends it.

A read of a pipe that is silent, or that nobody writes to yet, cannot be interrupted. FFmpeg reads another pipe
instead, which ends where the source ends, or when the program stops.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Final

from triptych.producers.sources.source import FileSource, Source

_CHECK_INTERVAL_MS: Final = 100
_BLOCK_BYTES: Final = 1 << 16


@contextmanager
def stoppable(source: Source, stop: Event) -> Iterator[Source]:
    """Yield a source that ends when `stop` is set. Files and URLs are yielded as they are."""
    given = _opened(source)
    if given is None or not isinstance(source, FileSource):
        yield source
        return
    read, written = os.pipe()
    copying = threading.Thread(target=_copy, args=(given, written, stop), name=f"pipe {source.name}", daemon=True)
    copying.start()
    try:
        yield replace(source, opened=Path(f"/dev/fd/{read}"))
    finally:
        os.close(read)  # ends the copying, where it waits for room


def _opened(source: Source) -> int | None:
    """Open a pipe, without waiting for somebody who writes to it; None where there is nothing to open."""
    if not isinstance(source, FileSource) or not source.is_read_once:
        return None
    try:
        return os.open(source.path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:  # FFmpeg says what is wrong
        return None


def _copy(given: int, written: int, stop: Event) -> None:
    """Copy until the end, until `stop` is set, or until nobody reads any more."""
    ready = select.poll()
    ready.register(given, select.POLLIN)
    try:
        with suppress(BrokenPipeError):
            while not stop.is_set():
                if not ready.poll(_CHECK_INTERVAL_MS):
                    continue
                with suppress(BlockingIOError):
                    block = os.read(given, _BLOCK_BYTES)
                    if not block:
                        break
                    _write_all(written, block)
    finally:
        os.close(written)
        os.close(given)


def _write_all(written: int, block: bytes) -> None:
    left = memoryview(block)
    while left:
        left = left[os.write(written, left) :]
