"""A thread that turns utterances into cues, behind a bounded queue: what is too much waits, or is left out."""

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
"""How much speech may wait."""

_CLOSE_S: Final = 10.0

Recognise = Callable[[Utterance], tuple[Cue, ...]]


@dataclass(frozen=True, slots=True)
class TranscribedUtterance:
    """What was made of an utterance."""

    utterance: Utterance
    cues: tuple[Cue, ...]


class TranscriptionThread:
    """Turn utterances into cues in their order; used by one thread, works in another.

    Attributes:
        left_out_ns: how much speech was left out, since it came faster than it could be understood.
    """

    def __init__(self, recognise: Recognise, prepare: Callable[[], None] | None = None) -> None:
        """Start the thread, which calls `prepare` before anything else."""
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
        """Where the first utterance begins whose cues have not been taken; None where there is none."""
        with self._changed:
            first = self._done[0].utterance if self._done else self._current
            if first is None and self._waiting:
                first = self._waiting[0]
            return None if first is None else first.start_ns

    def put(self, utterance: Utterance, *, wait: bool) -> None:
        """Take an utterance; where too much is waiting, `wait` for room, or leave the oldest out and count it."""
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._error or self._closed or self._has_room(utterance))
            while not wait and not self._has_room(utterance):
                self._leave_out(self._waiting.popleft())
            self._waiting.append(utterance)
            self._changed.notify_all()

    def take(self) -> TranscribedUtterance | None:
        """Return what is done, the oldest first, without waiting; raise what went wrong in the thread."""
        with self._changed:
            if self._done:
                return self._done.popleft()
            if self._error is not None:
                raise self._error
            return None

    def drain(self, limit_s: float | None) -> None:
        """Wait until all is done; what is not within the limit is left out and counted."""
        with self._changed:
            self._changed.wait_for(lambda: self._error or not (self._waiting or self._current), limit_s)
            left = [*([self._current] if self._current is not None else []), *self._waiting]
            self._current = None  # the thread sees that nobody waits for it
            self._waiting.clear()
            for utterance in left:
                self._leave_out(utterance)

    def close(self) -> None:
        """End the thread, after what it is doing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(_CLOSE_S)

    def _has_room(self, utterance: Utterance) -> bool:
        """Return whether it may wait; one may always, however long."""
        waiting_ns = sum(one.end_ns - one.start_ns for one in self._waiting)
        return not self._waiting or waiting_ns + utterance.end_ns - utterance.start_ns <= BACKLOG_NS

    def _leave_out(self, utterance: Utterance) -> None:
        self.dropped_ns += utterance.end_ns - utterance.start_ns

    def _run(self) -> None:
        try:
            if self._prepare is not None:
                self._prepare()
            self._work()
        except Exception as error:  # noqa: BLE001 - handed over to the thread that takes
            with self._changed:
                self._error, self._current = error, None
                self._changed.notify_all()

    def _work(self) -> None:
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
