"""What a publisher has taken and the broker has not acknowledged: in order, and bounded in bytes.

Kafka's client for Python knows no such bound. Here it stands between the callers' threads, the client's, and the one
that hands messages over; it does no I/O and knows no client.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field

from triptych.transport.errors import PublishTimeoutError, TransportError
from triptych.transport.records import Delivered, Message

TAKEN_AT_ONCE = 256
"""Each hand-over costs a change of threads; a crowd shares one."""


@dataclass(slots=True, eq=False)
class Outgoing:
    """One message on its way.

    Attributes:
        number: its place in the order of sending.
        alone: it may be what the broker refused: nothing else may be under way beside it.
        failures: how many clients failed because of it, as far as one can tell.
        handed_s: when it was handed over last, by the monotonic clock.
    """

    number: int
    message: Message
    size_bytes: int
    delivered: Future[Delivered] = field(default_factory=Future)
    alone: bool = False
    failures: int = 0
    handed_s: float = 0.0


class InFlight:
    """Keep what is on its way; shared by all threads of one publisher."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        lock = threading.Lock()
        self._settled = threading.Condition(lock)
        self._work = threading.Condition(lock)
        self._numbers = itertools.count()
        self._sent = 0
        self._held_bytes = 0
        self._unsettled: dict[int, Outgoing] = {}
        self._queue: deque[Outgoing] = deque()
        self._handed: set[int] = set()
        self._handed_alone = False
        self._woken = False
        self._closed_by: TransportError | None = None

    def add(self, message: Message, timeout_s: float) -> Outgoing:
        """Take a message when there is room for it; one that is larger than the bound goes when nothing else does."""
        size_bytes = message.size_bytes
        deadline = time.monotonic() + timeout_s
        with self._settled:
            while self._closed_by is None and self._unsettled and self._held_bytes + size_bytes > self._max_bytes:
                if not self._settled.wait(deadline - time.monotonic()):
                    raise PublishTimeoutError(
                        f"{self._held_bytes} bytes are not acknowledged yet, {self._max_bytes} are allowed; "
                        f"no room for {size_bytes} more was made within {timeout_s:g} s, the message was not taken"
                    )
            if self._closed_by is not None:
                raise self._closed_by
            outgoing = Outgoing(next(self._numbers), message, size_bytes)
            outgoing.delivered.set_running_or_notify_cancel()  # from here on nobody can call it back
            self._sent = outgoing.number + 1
            self._held_bytes += size_bytes
            self._unsettled[outgoing.number] = outgoing
            self._queue.append(outgoing)
            self._work.notify_all()
            return outgoing

    def take(self, timeout_s: float | None = None) -> list[Outgoing]:
        """Wait for messages to be handed over, and return some of them in order; none after `wake` or the time-out."""
        with self._work:
            if not self._work.wait_for(self._has_work, timeout_s):
                return []
            if self._woken:
                self._woken = False
                return []
            taken = [self._queue.popleft()]
            self._handed_alone = taken[0].alone
            while self._queue and len(taken) < TAKEN_AT_ONCE and not (self._handed_alone or self._queue[0].alone):
                taken.append(self._queue.popleft())
            self._handed.update(outgoing.number for outgoing in taken)
            now_s = time.monotonic()
            for outgoing in taken:
                outgoing.handed_s = now_s
            return taken

    def longest_unanswered_s(self) -> float:
        """Return how long the first message that was handed over has been waiting for its fate; 0 without any."""
        with self._work:
            first = next((own for number, own in self._unsettled.items() if number in self._handed), None)
            return 0.0 if first is None else time.monotonic() - first.handed_s

    def put_back(self, taken: list[Outgoing]) -> None:
        """Let messages that could not be handed over be the next ones again."""
        with self._work:
            self._handed.difference_update(outgoing.number for outgoing in taken)
            self._queue.extendleft(reversed(taken))

    def send_again(self) -> None:
        """Forget what was handed over: all that is not settled is to be handed over again, in order."""
        with self._work:
            self._handed.clear()
            self._handed_alone = False
            self._queue = deque(self._unsettled.values())

    def wake(self) -> None:
        """Make `take` return."""
        with self._work:
            self._woken = True
            self._work.notify_all()

    def settle(self, outgoing: Outgoing, outcome: Delivered | TransportError) -> None:
        """Tell the sender what became of a message, once."""
        with self._settled:
            if self._unsettled.pop(outgoing.number, None) is None:
                return
            self._held_bytes -= outgoing.size_bytes
            self._handed.discard(outgoing.number)
            self._settled.notify_all()
            if not self._handed:
                self._work.notify_all()
        # Outside the lock: the sender's callbacks run here.
        if isinstance(outcome, Delivered):
            outgoing.delivered.set_result(outcome)
        else:
            outgoing.delivered.set_exception(outcome)

    def unsettled(self) -> list[Outgoing]:
        """Return what is on its way, in order."""
        with self._settled:
            return list(self._unsettled.values())

    def wait(self, timeout_s: float) -> None:
        """Return when the fate of all that was sent so far is known."""
        deadline = time.monotonic() + timeout_s
        with self._settled:
            until = self._sent
            while next(iter(self._unsettled), until) < until:
                if not self._settled.wait(deadline - time.monotonic()):
                    raise PublishTimeoutError(
                        f"{len(self._unsettled)} messages with {self._held_bytes} bytes were not acknowledged within "
                        f"{timeout_s:g} s"
                    )

    def close(self, reason: TransportError) -> None:
        """Take no more messages, and fail what is still on its way."""
        with self._settled:
            self._closed_by = self._closed_by or reason
            self._settled.notify_all()
        for outgoing in self.unsettled():
            self.settle(outgoing, reason)

    def _has_work(self) -> bool:
        return self._woken or (bool(self._queue) and not self._must_hold())

    def _must_hold(self) -> bool:
        """Whether the next message has to wait until nothing is under way."""
        return bool(self._handed) and (self._handed_alone or self._queue[0].alone)
