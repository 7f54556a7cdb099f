"""The seam between the worker and the place where subscribers look: results go in, each at most once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from triptych.schemas.results import Result
from triptych.units import NS_PER_MS


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result and its JSON exactly as it stands on the results topic."""

    result: Result
    document: bytes

    @property
    def end_ms(self) -> int:
        """The window's end as a store compares it: whole milliseconds, which a double holds exactly."""
        return self.result.end_ns // NS_PER_MS

    @property
    def published_ms(self) -> int:
        """The moment of publication as a store compares it. A repeat carries the same one."""
        return self.result.published_ns // NS_PER_MS


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """How much of each stream a store keeps, and for how long after the last result."""

    max_results: int = 10_000
    latest_ttl_s: int = 3_600
    key_ttl_s: int = 7 * 24 * 3_600


class ResultStore(Protocol):
    """Keep the recent results of each stream for subscribers.

    The worker offers a result after it is acknowledged on the results topic, and offers the topic's tail once more
    after each restart. So every method may be called again with the same values, and a repeat changes nothing.
    """

    def write(self, batch: Sequence[StoredResult]) -> tuple[bool, ...]:
        """Keep what is new, in the order given; say for each whether it was new.

        Raises `StoreUnavailableError` where it may help to call again with the same batch (what was already kept then
        counts as a repeat), and `StoreRefusedError` where it cannot.
        """

    def ping(self) -> None:
        """Return when the store answers; raise as `write` does."""

    def close(self) -> None:
        """Let go of everything; closing twice does nothing."""
