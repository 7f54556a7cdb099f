"""Say which streams there are where a subscription stays silent: nobody may send the one that was asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from triptych.consumers.subscription.result_source import ResultSource
from triptych.schemas.errors import TriptychError
from triptych.schemas.names import DEFAULT_PIPELINE

log = structlog.get_logger(__name__)

PATIENCE_S: Final = 4.0
"""How long a subscription may be silent before it is said. A running stream has a result every few seconds."""
_SHOWN_STREAMS: Final = 20
_JOIN_S: Final = 2.0


class Silence:
    """Watches whether a subscription has delivered anything, and says so once if not."""

    def __init__(
        self,
        delivered: Callable[[], int],
        source: ResultSource,
        stream: str | None,
        pipeline: str,
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Watch a subscription.

        Args:
            delivered: returns how many results the subscription has delivered.
            source: knows the streams that have results.
            stream: the stream that was asked for; None for all.
            pipeline: the pipeline's name.
            patience_s: how long to wait for a first result.
        """
        self._delivered = delivered
        self._source = source
        self._stream = stream
        self._pipeline = pipeline
        self._patience_s = patience_s

    @contextmanager
    def reported(self, *, at_end: bool) -> Iterator[None]:
        """Report silence during the block, after some seconds; with `at_end`, only when the block ends."""
        if at_end:
            yield
            self.report()
            return
        ended = threading.Event()
        watching = threading.Thread(target=self._wait, args=(ended,), name="silence", daemon=True)
        watching.start()
        try:
            yield
        finally:
            ended.set()
            watching.join(_JOIN_S)  # it may be asking for the streams, over clients that are about to be closed

    def report(self) -> None:
        """Log which streams there are, unless something was delivered."""
        if self._delivered():
            return
        try:
            streams = self._source.streams()
        except TriptychError as error:
            log.warning("no_result_yet", stream=self._stream, error=str(error))
            return
        more = max(0, len(streams) - _SHOWN_STREAMS)
        log.warning(
            "no_result_yet",
            stream=self._stream,
            pipeline=self._pipeline,
            streams_with_results=list(streams[:_SHOWN_STREAMS]),
            further_streams=more,
            hint=self._hint(streams),
        )

    def _wait(self, ended: threading.Event) -> None:
        if not ended.wait(self._patience_s):
            self.report()

    def _hint(self, streams: tuple[str, ...]) -> str:
        flag = "" if self._pipeline == DEFAULT_PIPELINE else f" --pipeline {self._pipeline}"
        doctor = f"`triptych doctor{'' if self._stream is None else f' {self._stream}'}{flag}` says where it stops"
        if self._stream is None:
            return doctor
        if self._stream in streams:
            return f"the stream has earlier results and no new one; {doctor}"
        return f"no result of this stream is known: is its name among those with results? Else {doctor}"
