"""What one source has done so far: counted by its own thread and the client's, read by whoever shows it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Literal

State = Literal["starting", "playing", "waiting", "done", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Standing:
    """The counts at one moment.

    Attributes:
        stream: the stream's id.
        state: how it stands.
        position_ns: how much of the film has been handed over, all passes together.
        acknowledged_ns: the same, of what the broker has acknowledged.
        behind_clock_ns: how much later than it should the last record went out, played in real time.
        total_ns: how long the film is with all its passes, where that is known and it ends.
        sent: records handed over, control records included.
        dropped: records that were given up.
    """

    stream: str
    state: State = "starting"
    position_ns: int = 0
    acknowledged_ns: int = 0
    behind_clock_ns: int = 0
    total_ns: int | None = None
    sent: int = 0
    dropped: int = 0

    @property
    def lag_ns(self) -> int:
        """How far the broker is behind where the film should be."""
        return self.position_ns - self.acknowledged_ns + max(0, self.behind_clock_ns)


class Tally:
    """Count, safely from several threads."""

    def __init__(self, stream: str) -> None:
        self._lock = threading.Lock()
        self._standing = Standing(stream)

    @property
    def standing(self) -> Standing:
        """The counts now."""
        with self._lock:
            return self._standing

    def begin(self, total_ns: int | None) -> None:
        """Note that playing begins."""
        with self._lock:
            self._standing = replace(self._standing, state="playing", total_ns=total_ns)

    def waits(self) -> None:
        """Note that the source is away, and will be tried again."""
        with self._lock:
            self._standing = replace(self._standing, state="waiting")

    def sent(self, film_ns: int, *, behind_clock_ns: int = 0) -> None:
        """Note a record handed over."""
        with self._lock:
            old = self._standing
            self._standing = replace(
                old,
                position_ns=max(old.position_ns, film_ns),
                behind_clock_ns=behind_clock_ns,
                sent=old.sent + 1,
            )

    def acknowledged(self, film_ns: int) -> None:
        """Note that the broker has a record."""
        with self._lock:
            old = self._standing
            self._standing = replace(old, acknowledged_ns=max(old.acknowledged_ns, film_ns))

    def dropped(self) -> None:
        """Note a record given up."""
        with self._lock:
            self._standing = replace(self._standing, dropped=self._standing.dropped + 1)

    def finish(self, state: State) -> None:
        """Note how it ended."""
        with self._lock:
            self._standing = replace(self._standing, state=state)
