"""A thread that transcribes utterances, behind a bounded queue.

Where the queue is full, the caller waits, or speech is dropped.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition
from typing import Final

from triptych.producers.speech.utterances import Utterance
from triptych.producers.subtitles.cue import Cue
from triptych.units import NS_PER_S

BACKLOG_NS: Final = 15 * NS_PER_S
"""How much speech may be queued."""

_CLOSE_TIMEOUT_S: Final = 10.0

Recognise = Callable[[Utterance], tuple[Cue, ...]]
"""A speech recogniser: from an utterance to its cues."""


@dataclass(frozen=True, slots=True)
class TranscribedUtterance:
    """An utterance and its cues."""

    utterance: Utterance
    cues: tuple[Cue, ...]


class TranscriptionThread:
    """Transcribe utterances in order, in a thread of its own. All methods are for one other thread.

    Attributes:
        dropped_ns: how much speech was dropped because it came faster than it could be transcribed.
    """

    def __init__(self, recognise: Recognise, prepare: Callable[[], None] | None = None) -> None:
        """Start the thread, which calls `prepare` first."""
        self._recognise = recognise
        self._prepare = prepare
        self._waiting: deque[Utterance] = deque()
        self._current: Utterance | None = None
        self._done: deque[TranscribedUtterance] = deque()
        self._error: Exception | None = None
        self._closed = False
        self._changed = Condition()
        self.dropped_ns = 0
        self._thread = threading.Thread(target=self._run, name="transcribe", daemon=True)
        self._thread.start()

    @property
    def earliest_pending_ns(self) -> int | None:
        """Where the first utterance begins whose cues were not taken yet; None where there is none."""
        with self._changed:
            first = self._done[0].utterance if self._done else self._current
            if first is None and self._waiting:
                first = self._waiting[0]
            return None if first is None else first.start_ns

    def put(self, utterance: Utterance, *, wait: bool) -> None:
        """Queue an utterance. Where the queue is full, block (`wait`), or drop the oldest utterance and count it."""
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._error or self._closed or self._has_room(utterance))
            while not wait and not self._has_room(utterance):
                self._drop(self._waiting.popleft())
            self._waiting.append(utterance)
            self._changed.notify_all()

    def take(self) -> TranscribedUtterance | None:
        """Return the oldest finished utterance, or None. Does not block.

        Raises:
            Exception: whatever ended the thread.
        """
        with self._changed:
            if self._done:
                return self._done.popleft()
            if self._error is not None:
                raise self._error
            return None

    def drain(self, timeout_s: float | None) -> None:
        """Block until all utterances are transcribed. Drop and count those that exceed the timeout."""
        with self._changed:
            self._changed.wait_for(lambda: self._error or not (self._waiting or self._current), timeout_s)
            unfinished = [*([self._current] if self._current is not None else []), *self._waiting]
            self._current = None  # tells the thread to discard its result
            self._waiting.clear()
            for utterance in unfinished:
                self._drop(utterance)

    def close(self) -> None:
        """End the thread after its current utterance."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(_CLOSE_TIMEOUT_S)

    def _has_room(self, utterance: Utterance) -> bool:
        """Return whether an utterance fits. An empty queue takes one of any length."""
        waiting_ns = sum(queued.end_ns - queued.start_ns for queued in self._waiting)
        return not self._waiting or waiting_ns + utterance.end_ns - utterance.start_ns <= BACKLOG_NS

    def _drop(self, utterance: Utterance) -> None:
        self.dropped_ns += utterance.end_ns - utterance.start_ns

    def _run(self) -> None:
        try:
            if self._prepare is not None:
                self._prepare()
            self._transcribe_all()
        except Exception as error:  # noqa: BLE001 - raised again in the thread that calls take()
            with self._changed:
                self._error, self._current = error, None
                self._changed.notify_all()

    def _transcribe_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting)
                if self._closed:
                    return
                utterance = self._current = self._waiting.popleft()
                self._changed.notify_all()
            cues = self._recognise(utterance)
            with self._changed:
                if self._current is utterance:
                    self._done.append(TranscribedUtterance(utterance, cues))
                    self._current = None
                self._changed.notify_all()
