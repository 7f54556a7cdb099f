"""The messages that a publisher has accepted and the broker has not acknowledged: in order, and bounded in bytes.

kafka-python has no such bound. This class is shared by the callers' threads, the client's thread and the sending
thread. It does no I/O and does not depend on a client.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from triptych.transport.errors import PublishTimeoutError, TransportError
from triptych.transport.records import Delivered, Message

SEND_TIMEOUT_S: Final = 60.0
"""How long a publisher's `send` blocks while too many bytes are in flight."""
MAX_MESSAGES_PER_TAKE = 256
"""Each take costs a thread switch, so it returns many messages."""


@dataclass(slots=True, eq=False)
class Outgoing:
    """One message in flight.

    Attributes:
        number: its place in the order of sending.
        alone: the broker may have rejected this message, so nothing else may be in flight with it.
        failures: how many client failures it has probably caused.
        handed_s: when it was last passed to the client, by the monotonic clock.
    """

    number: int
    message: Message
    size_bytes: int
    delivered: Future[Delivered] = field(default_factory=Future)
    alone: bool = False
    failures: int = 0
    handed_s: float = 0.0


class InFlight:
    """The messages in flight of one publisher, shared by its threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        lock = threading.Lock()
        self._room = threading.Condition(lock)
        self._known = threading.Condition(lock)
        self._work = threading.Condition(lock)
        self._numbers = itertools.count()
        self._sent = 0
        self._held_bytes = 0
        self._unsettled: dict[int, Outgoing] = {}
        self._telling: set[int] = set()  # settled, but the sender's future is not set yet
        self._awaited: list[int] = []  # for each thread in `wait`: the number before which it wants every outcome
        self._queue: deque[Outgoing] = deque()
        self._handed: set[int] = set()
        self._handed_alone = False
        self._woken = False
        self._closed_by: TransportError | None = None

    def add(self, message: Message, timeout_s: float) -> Outgoing:
        """Queue a message when there is room. A message larger than the bound waits until nothing else is in flight."""
        size_bytes = message.size_bytes
        deadline = time.monotonic() + timeout_s
        with self._room:
            while self._closed_by is None and self._unsettled and self._held_bytes + size_bytes > self._max_bytes:
                if not self._room.wait(deadline - time.monotonic()):
                    raise PublishTimeoutError(
                        f"{self._held_bytes} bytes are unacknowledged, {self._max_bytes} are allowed; "
                        f"there was no room for {size_bytes} more within {timeout_s:g} s, the message was not queued"
                    )
            if self._closed_by is not None:
                raise self._closed_by
            outgoing = Outgoing(next(self._numbers), message, size_bytes)
            outgoing.delivered.set_running_or_notify_cancel()  # from here on it cannot be cancelled
            self._sent = outgoing.number + 1
            self._held_bytes += size_bytes
            self._unsettled[outgoing.number] = outgoing
            self._queue.append(outgoing)
            self._work.notify_all()
            return outgoing

    def take(self, timeout_s: float | None = None) -> list[Outgoing]:
        """Wait for messages to send, and return some of them in order; none after `wake` or the timeout."""
        with self._work:
            if not self._work.wait_for(self._has_work, timeout_s):
                return []
            if self._woken:
                self._woken = False
                return []
            taken = [self._queue.popleft()]
            self._handed_alone = taken[0].alone
            while (
                self._queue and len(taken) < MAX_MESSAGES_PER_TAKE and not (self._handed_alone or self._queue[0].alone)
            ):
                taken.append(self._queue.popleft())
            self._handed.update(outgoing.number for outgoing in taken)
            now_s = time.monotonic()
            for outgoing in taken:
                outgoing.handed_s = now_s
            return taken

    def longest_unanswered_s(self) -> float:
        """Return how long the oldest message passed to the client has been waiting; 0 if there is none."""
        with self._work:
            first = next((own for number, own in self._unsettled.items() if number in self._handed), None)
            return 0.0 if first is None else time.monotonic() - first.handed_s

    def put_back(self, taken: list[Outgoing]) -> None:
        """Return messages that could not be sent to the front of the queue."""
        with self._work:
            self._handed.difference_update(outgoing.number for outgoing in taken)
            self._queue.extendleft(reversed(taken))

    def send_again(self) -> None:
        """Queue everything that is unacknowledged again, in order."""
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
        """Report the outcome of a message to its sender, once."""
        with self._room:
            if self._unsettled.pop(outgoing.number, None) is None:
                return
            self._telling.add(outgoing.number)
            self._held_bytes -= outgoing.size_bytes
            self._handed.discard(outgoing.number)
            self._room.notify_all()
            if not self._handed:
                self._work.notify_all()
        # Outside the lock: the sender's callbacks run here.
        if isinstance(outcome, Delivered):
            outgoing.delivered.set_result(outcome)
        else:
            outgoing.delivered.set_exception(outcome)
        with self._known:
            self._telling.discard(outgoing.number)
            if any(self._knows_all_before(number) for number in self._awaited):  # a wakeup costs a thread switch
                self._known.notify_all()

    def unsettled(self) -> list[Outgoing]:
        """Return the messages in flight, in order."""
        with self._room:
            return list(self._unsettled.values())

    def wait(self, timeout_s: float) -> None:
        """Block until the outcome of all messages sent so far is known, or raise `PublishTimeoutError`."""
        deadline = time.monotonic() + timeout_s
        with self._known:
            until = self._sent
            self._awaited.append(until)
            try:
                while not self._knows_all_before(until):
                    if not self._known.wait(deadline - time.monotonic()):
                        raise PublishTimeoutError(
                            f"{len(self._unsettled)} messages with {self._held_bytes} bytes were not acknowledged "
                            f"within {timeout_s:g} s"
                        )
            finally:
                self._awaited.remove(until)

    def close(self, reason: TransportError) -> None:
        """Accept no more messages, and fail those in flight."""
        with self._room:
            self._closed_by = self._closed_by or reason
            self._room.notify_all()
        for outgoing in self.unsettled():
            self.settle(outgoing, reason)

    def _knows_all_before(self, number: int) -> bool:
        """Return whether the future of every message before this number is set."""
        is_settled = next(iter(self._unsettled), number) >= number
        return is_settled and min(self._telling, default=number) >= number

    def _has_work(self) -> bool:
        return self._woken or (bool(self._queue) and not self._must_hold())

    def _must_hold(self) -> bool:
        """Return whether the next message must wait until nothing is in flight."""
        return bool(self._handed) and (self._handed_alone or self._queue[0].alone)
