"""The progress of alerts: a small file, replaced atomically, and locked by one process at a time."""

from __future__ import annotations

import fcntl
import json
import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from triptych.consumers.alerts.event_tracker import EventLimits, EventTracker
from triptych.consumers.alerts.mqtt.sensors import SensorTracker
from triptych.consumers.subscription.cursor import Cursor, parse_since
from triptych.schemas.errors import UsageError

_REMEMBERED: Final = 1_000


class AlertState:
    """The cursor after the last handled result, the ids of the messages delivered last, and what is known of streams.

    The ids detect results that were published twice, before and after a restart.
    """

    def __init__(self, path: Path, limits: EventLimits | None = None, sensors: SensorTracker | None = None) -> None:
        """Lock the file and read it. Without `limits`, alerts are for results; `sensors` are restored from the file.

        Raises:
            UsageError: the file cannot be used.
        """
        self._path = path
        self._limits = limits or EventLimits()
        self.events = EventTracker(self._limits)
        self._sensors = sensors
        self._written: str | None = None
        self.cursor: Cursor | None = None
        self._delivered: deque[str] = deque(maxlen=_REMEMBERED)
        try:
            self._lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise UsageError(f"{path}: expected a file in a writable folder, got: {error}") from error
        try:
            self._lock_file()
            self._read()
        except BaseException:
            os.close(self._lock)
            raise

    def has_delivered(self, message_id: str) -> bool:
        """Return whether the message was delivered recently."""
        return message_id in self._delivered

    def note(self, message_id: str) -> None:
        """Remember a delivered message. `save` writes it."""
        self._delivered.append(message_id)

    def save(self, cursor: Cursor) -> None:
        """Write the state durably, if it has changed."""
        self.cursor = cursor
        document: dict[str, object] = {"cursor": str(cursor), "delivered": list(self._delivered)}
        if self._limits.are_set:
            document["events"] = self.events.to_document()
        if self._sensors is not None:
            document["sensors"] = self._sensors.to_document()
        text = json.dumps(document)
        if text == self._written:
            return
        temporary = self._path.with_name(f"{self._path.name}.new")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        self._written = text

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    def _lock_file(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{self._path}: expected a file that only this process uses, another process has locked it"
            ) from None

    def _read(self) -> None:
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{self._path}: expected a readable file, got: {error}") from error
        try:
            match json.loads(text):
                case {"cursor": str(cursor), "delivered": [*delivered], **others}:
                    found = parse_since(cursor)
                    self.events = EventTracker.from_document(self._limits, _object_in(others, "events"))
                    if self._sensors is not None:
                        self._sensors.restore(_object_in(others, "sensors"))
                    self._delivered.extend(str(message_id) for message_id in delivered)
                case _:
                    found = None
        except (ValueError, TypeError, KeyError, AttributeError, UsageError):
            found = None
        if not isinstance(found, Cursor):
            raise UsageError(f"{self._path}: expected a file written by `triptych alert`, got something else")
        self.cursor, self._written = found, text


def _object_in(others: Mapping[Any, Any], name: str) -> Mapping[str, Any]:
    """Return a part of a file, which may be missing. Raises `TypeError` if it is no object."""
    found = others.get(name, {})
    if not isinstance(found, dict):
        raise TypeError(f"{name}: expected an object")
    return found
