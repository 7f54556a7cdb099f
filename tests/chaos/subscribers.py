"""Subscribers that record what they receive during a chaos test, as a user's program would."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from triptych.consumers.subscription.cursor import Cursor
from triptych.consumers.subscription.subscriber import Subscriber
from triptych.schemas.errors import TriptychError

_AGAIN_S: Final = 0.5


class RecordingSubscriber:
    """A subscription on its own thread. After an error it subscribes again at its cursor."""

    def __init__(self, name: str, open_subscriber: Callable[[], Subscriber]) -> None:
        self.name = name
        self._open = open_subscriber
        self._stop = threading.Event()
        self._subscriber: Subscriber | None = None
        self._thread = threading.Thread(target=self._run, name=f"listener {name}", daemon=True)
        self.documents: list[bytes] = []
        self.errors: list[str] = []

    def start(self) -> None:
        """Start to receive results."""
        self._thread.start()

    def finish(self) -> None:
        """Stop to receive results."""
        self._stop.set()
        if self._subscriber is not None:
            self._subscriber.stop()
        self._thread.join()

    def _run(self) -> None:
        cursor: Cursor | None = None
        while not self._stop.is_set():
            try:
                with self._open() as subscriber:
                    self._subscriber = subscriber
                    results = subscriber.results(since=cursor, revisions="all")
                    try:
                        for delivery in results.deliveries():
                            self.documents.append(delivery.document)
                    finally:
                        cursor = results.cursor
            except TriptychError as error:
                self.errors.append(str(error))
                time.sleep(_AGAIN_S)
