"""The order that loses nothing: take, decide, publish, finish, commit (rules 18 and 20).

- A record that is taken is unfinished.
- What is decided awaits its publication, by a ticket. Nothing of it is finished before that.
- A record is finished when a result of its stream is published whose state lies behind it and keeps it no more, or its
  stream is forgotten. The ledger completes in the order in which things were decided, however they are published.
- The lowest unfinished offset of each partition may be committed, never more.
- Where something decided is not published, or nobody knows, the ledger is withdrawn: nothing that was decided later may
  be published any more, for the state that travels with it would say that the former is out.

The broker, the store and the threads are others' business; `test_delivery_order.py` holds this against a
model of them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from triptych.schemas.names import Modality
    from triptych.worker.alignment.snapshot import Snapshot


@dataclass(slots=True)
class Pending:
    """Something decided whose effect on offsets waits until it is published."""

    apply: Callable[[], None]
    done: bool = False


class OffsetTracker:
    """The unfinished records of one partition number. Offsets are those of its three input partitions."""

    def __init__(self, start: Mapping[Modality, int], restored: Mapping[str, Snapshot] | None = None) -> None:
        """Begin at the offsets of `start`; records that `restored` states lie behind are finished as they come."""
        self._next = dict(start)
        self._published = dict(restored or {})
        self._unfinished: dict[Modality, dict[str | None, dict[int, None]]] = {modality: {} for modality in start}
        self._tickets: deque[Pending] = deque()
        self._withdrawn = False

    def add(self, modality: Modality, offset: int, stream: str | None) -> None:
        """Count a record that was fetched as unfinished."""
        self._next[modality] = offset + 1
        snapshot = None if stream is None else self._published.get(stream)
        if snapshot is not None and snapshot.is_finished(modality, offset):
            return
        self._unfinished[modality].setdefault(stream, {})[offset] = None

    def moved(self, positions: Mapping[Modality, int]) -> None:
        """Take the positions that the partitions are read from next: offsets without a record lie between."""
        self._next.update(positions)

    def positions(self) -> dict[Modality, int]:
        """Return the next offset to be read of each partition."""
        return dict(self._next)

    def await_result(self, stream: str, snapshot: Snapshot) -> Pending:
        """Expect the publication of a result; afterwards its stream's older records are finished but those it keeps."""
        return self._expect(lambda: self._finish(stream, snapshot))

    def await_letter(self, modality: Modality, offset: int, stream: str | None) -> Pending:
        """Expect the publication of a dead letter that no result will speak of; afterwards its record is finished."""
        return self._expect(lambda: self._finish_one(modality, offset, stream))

    def settle(self, modality: Modality, offset: int, stream: str | None) -> None:
        """Finish a record at once that moved nothing."""
        self._finish_one(modality, offset, stream)

    def forget(self, stream: str, positions: Mapping[Modality, int]) -> None:
        """Finish all records of a stream before `positions`, once all that was decided before is published."""
        pending = self._expect(lambda: self._finish_before(stream, positions))
        self.complete(pending)

    def abandon(self) -> None:
        """Publish and finish nothing more, for good: what is open is decided again, here or elsewhere.

        Any thread may; whichever publishes next must be the one, or wait for it.
        """
        self._withdrawn = True

    @property
    def may_publish(self) -> bool:
        """Whether what was decided may be published."""
        return not self._withdrawn

    def complete(self, pending: Pending) -> None:
        """Note a publication, and apply all that waits for nothing else."""
        if self._withdrawn:
            return
        pending.done = True
        while self._tickets and self._tickets[0].done:
            self._tickets.popleft().apply()

    @property
    def waiting(self) -> int:
        """Decisions that are not published yet."""
        return len(self._tickets)

    def committable(self) -> dict[Modality, int]:
        """Return the lowest unfinished offset of each partition, or the next one to be read."""
        return {
            modality: min(
                (next(iter(offsets)) for offsets in streams.values() if offsets), default=self._next[modality]
            )
            for modality, streams in self._unfinished.items()
        }

    def unfinished_streams(self) -> tuple[str, ...]:
        """Return the streams that have unfinished records."""
        return tuple(
            sorted(
                {
                    stream
                    for streams in self._unfinished.values()
                    for stream, offsets in streams.items()
                    if offsets and stream is not None
                }
            )
        )

    def _expect(self, apply: Callable[[], None]) -> Pending:
        pending = Pending(apply)
        self._tickets.append(pending)
        return pending

    def _finish(self, stream: str, snapshot: Snapshot) -> None:
        self._published[stream] = snapshot
        for modality, streams in self._unfinished.items():
            offsets = streams.get(stream)
            if not offsets:
                continue
            needed = frozenset(snapshot.needed(modality))
            position = snapshot.positions[modality]
            streams[stream] = {offset: None for offset in offsets if offset >= position or offset in needed}

    def _finish_before(self, stream: str, positions: Mapping[Modality, int]) -> None:
        self._published.pop(stream, None)
        for modality, streams in self._unfinished.items():
            left = {offset: None for offset in streams.pop(stream, {}) if offset >= positions[modality]}
            if left:
                streams[stream] = left

    def _finish_one(self, modality: Modality, offset: int, stream: str | None) -> None:
        offsets = self._unfinished[modality].get(stream, {})
        offsets.pop(offset, None)
        if not offsets:
            self._unfinished[modality].pop(stream, None)
