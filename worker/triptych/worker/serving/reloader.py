"""Taking another model while the worker runs: at a signal, or when the files of the one in service have changed.

A thread of its own reads, checks and warms; one model at a time, so that beside those in service there is never more
than one. What takes over is the place's own affair (`ModelSlot.put`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from triptych.models.model import Model, ModelInfo
from triptych.schemas.errors import TriptychError
from triptych.service.signals import ReloadSignal
from triptych.worker.observability.events import ModelRefused, ModelRole, ModelSwapped, ModelUnchanged
from triptych.worker.observability.hooks import Hooks
from triptych.worker.serving.files import WatchedFiles


@dataclass(frozen=True, slots=True)
class ModelSlot:
    """Where a model is in service, and how another one comes there.

    Attributes:
        role: what it does there.
        source: the name or path of the settings.
        files: what it is read from.
        build: reads it anew.
        make_ready: warms and tries it, and raises where it does not fit.
        info: names the one in service, if any.
        put: lets a ready one take over, and returns when it has.
    """

    role: ModelRole
    source: str
    files: WatchedFiles
    build: Callable[[], Model]
    make_ready: Callable[[Model], None]
    info: Callable[[], ModelInfo | None]
    put: Callable[[Model], None]


class Reloader:
    """Watches the places; those without a model get their first one at once."""

    def __init__(
        self,
        places: Sequence[ModelSlot],
        reload_signal: ReloadSignal,
        *,
        watch_s: float | None,
        hooks: Hooks,
        close_limit_s: float = 5.0,
    ) -> None:
        """Start the thread; `close` ends it.

        Args:
            places: where models are in service.
            reload_signal: rung where all places are to be loaded anew, changed or not.
            watch_s: how often to look whether files have changed; None: never.
            hooks: told what came of it.
            close_limit_s: how long `close` waits for a model that is being read.
        """
        self._places = places
        self._bell = reload_signal
        self._watch_s = watch_s
        self._hooks = hooks
        self._close_limit_s = close_limit_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reload", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; a model that is still being read is left behind."""
        self._closing.set()
        self._bell.send()
        self._thread.join(self._close_limit_s)

    # --- its own thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        for place in self._places:
            if place.info() is None:
                self._load(place)
        while not self._closing.is_set():
            rung = self._bell.wait(self._watch_s)
            for place in self._places:
                if not self._closing.is_set() and (rung or place.files.has_settled_anew()):
                    self._load(place)

    def _load(self, place: ModelSlot) -> None:
        started_ns = time.monotonic_ns()
        place.files.take()
        try:
            before = place.info()
            if before is not None and not place.files.paths:
                self._hooks.emit(ModelUnchanged(place.role, before.name, before.version, before.sha256))
                return
            model = place.build()
            info = model.info
            if info == before:
                self._hooks.emit(ModelUnchanged(place.role, info.name, info.version, info.sha256))
                return
            place.make_ready(model)
            place.put(model)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a file, what is in service goes on
            if not self._closing.is_set():
                reason = str(error) if isinstance(error, TriptychError) else repr(error)
                self._hooks.emit(ModelRefused(place.role, place.source, reason))
            return
        took_ms = (time.monotonic_ns() - started_ns) / 1e6
        sha256 = None if before is None else before.sha256
        self._hooks.emit(ModelSwapped(place.role, info.name, info.version, info.sha256, sha256, took_ms))
