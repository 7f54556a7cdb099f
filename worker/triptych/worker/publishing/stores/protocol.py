"""The interface between the worker and a result store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from triptych.schemas.results import Result
from triptych.units import NS_PER_MS


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result with its JSON document, byte for byte as published on the results topic."""

    result: Result
    document: bytes

    @property
    def end_ms(self) -> int:
        """End of the window in whole milliseconds of event time. A double, as Redis uses, holds it exactly."""
        return self.result.end_ns // NS_PER_MS

    @property
    def published_ms(self) -> int:
        """Time of publication in whole milliseconds. A duplicate has the same one."""
        return self.result.published_ns // NS_PER_MS


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """Bounds of a store, for each stream: the number of results, and how long they outlive the last one."""

    max_results: int = 10_000
    latest_ttl_s: int = 3_600
    key_ttl_s: int = 7 * 24 * 3_600


@dataclass(frozen=True, slots=True)
class StreamAge:
    """How old a stream is that was written again. Times are milliseconds since the epoch.

    Attributes:
        stream: its id.
        published_ms: publication of its newest result.
        latest_published_ms: publication of its newest window.
        forgotten_published_ms: the latest publication of the results that were left out; -1 if there is none.
        forgotten_end_ms: the latest end of the windows that were left out; -1 if there is none.
    """

    stream: str
    published_ms: int
    latest_published_ms: int
    forgotten_published_ms: int = -1
    forgotten_end_ms: int = -1


class ResultStore(Protocol):
    """Keeps the recent results of each stream, each result once.

    The worker writes a result after Kafka has acknowledged it, and writes the tail of the results topic again after
    each restart. All methods are idempotent and block.
    """

    def write(self, batch: Sequence[StoredResult]) -> tuple[bool, ...]:
        """Store new results in the given order. Return, for each, whether it was new.

        Raises:
            StoreUnavailableError: write the same batch again later. Results stored before the error then count as
                duplicates.
            StoreRefusedError: writing again does not help.
        """

    def ping(self) -> None:
        """Return when the store accepts writes. Raise the same errors as `write`."""

    def close(self) -> None:
        """Release all resources. Closing twice does nothing."""
