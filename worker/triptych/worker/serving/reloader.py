"""Replaces models while the worker runs: on a signal, or when the files of the model in service have changed.

A background thread loads, checks and warms up the models, one at a time, so that at most one is in memory besides those
in service. How a model takes over is up to `ModelSlot.put`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from triptych.models.model import Model, ModelInfo
from triptych.schemas.errors import TriptychError
from triptych.service.garbage import collect_frozen_objects
from triptych.service.signals import ReloadSignal
from triptych.worker.observability.events import ModelRefused, ModelRole, ModelSwapped, ModelUnchanged
from triptych.worker.observability.hooks import Hooks
from triptych.worker.serving.files import WatchedFiles


@dataclass(frozen=True, slots=True)
class ModelSlot:
    """A place where a model is in service, and how to replace it.

    Attributes:
        role: What the model is used for.
        source: The name or path of the model in the settings.
        files: The files that it is loaded from.
        build: Loads the model again.
        make_ready: Warms up and tests a model. Raises if it cannot be used.
        info: Returns the identity of the model in service, or None.
        put: Puts a model into service. Blocks until it is.
    """

    role: ModelRole
    source: str
    files: WatchedFiles
    build: Callable[[], Model]
    make_ready: Callable[[Model], None]
    info: Callable[[], ModelInfo | None]
    put: Callable[[Model], None]


class Reloader:
    """Reloads the models of several slots in a background thread. An empty slot gets its first model at once."""

    def __init__(
        self,
        slots: Sequence[ModelSlot],
        reload_signal: ReloadSignal,
        *,
        watch_s: float | None,
        hooks: Hooks,
        close_limit_s: float = 5.0,
    ) -> None:
        """Start the thread; `close` ends it.

        Args:
            slots: The slots to reload.
            reload_signal: Requests a reload of all slots, whether or not their files have changed.
            watch_s: The interval for checking the files; None disables it.
            hooks: Receive the outcome of each reload as an event.
            close_limit_s: How long `close` waits for a model that is being loaded.
        """
        self._slots = slots
        self._reload_signal = reload_signal
        self._watch_s = watch_s
        self._hooks = hooks
        self._close_limit_s = close_limit_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reload", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread. Wait at most `close_limit_s` for a model that is being loaded."""
        self._closing.set()
        self._reload_signal.send()
        self._thread.join(self._close_limit_s)

    # --- background thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        for slot in self._slots:
            if slot.info() is None:
                self._load(slot)
        while not self._closing.is_set():
            is_requested = self._reload_signal.wait(self._watch_s)
            for slot in self._slots:
                if not self._closing.is_set() and (is_requested or slot.files.has_changed()):
                    self._load(slot)

    def _load(self, slot: ModelSlot) -> None:
        started_ns = time.monotonic_ns()
        slot.files.mark_loaded()
        try:
            before = slot.info()
            if before is not None and not slot.files.paths:
                self._hooks.emit(ModelUnchanged(slot.role, before.name, before.version, before.sha256))
                return
            model = slot.build()
            info = model.info
            if info == before:
                self._hooks.emit(ModelUnchanged(slot.role, info.name, info.version, info.sha256))
                return
            slot.make_ready(model)
            slot.put(model)
            collect_frozen_objects()  # the model before, which was loaded at the start or frozen by a reload
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the files, the model in service stays
            if not self._closing.is_set():
                reason = str(error) if isinstance(error, TriptychError) else repr(error)
                self._hooks.emit(ModelRefused(slot.role, slot.source, reason))
            return
        took_ms = (time.monotonic_ns() - started_ns) / 1e6
        sha256 = None if before is None else before.sha256
        self._hooks.emit(ModelSwapped(slot.role, info.name, info.version, info.sha256, sha256, took_ms))
