"""Tracks which records are finished, and so which offsets may be committed (alignment rules 18 and 20).

The rules are explained in `docs/alignment.md`. To lose nothing, the order is receive, decide, publish, finish, commit:

- A received record is unfinished.
- A decision is pending until it is published. Until then it finishes no record.
- A record is finished when a result of its stream is published whose snapshot is past the record and does not need it
  any more, or when its stream is forgotten. Decisions take effect in the order in which they were made, whatever the
  order of their publication.
- Only the lowest unfinished offset of each partition may be committed.
- If a decision is not published, or the outcome is unknown, the tracker is abandoned. Nothing that was decided later
  may be published then: its snapshot would claim that the earlier decision was published.

This module is pure: broker, store and threads belong to others. `tests/worker/partitions/test_delivery_order.py` checks
it against a model of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from triptych.schemas.names import Modality
from triptych.worker.alignment.snapshot import Snapshot


@dataclass(slots=True)
class Pending:
    """A decision whose effect on the offsets waits for its publication."""

    apply: Callable[[], None]
    done: bool = False


class OffsetTracker:
    """The unfinished records of one partition of the three input topics."""

    def __init__(self, start: Mapping[Modality, int], restored: Mapping[str, Snapshot] | None = None) -> None:
        """Start at the offsets of `start`. Records that a `restored` snapshot has finished are finished when added."""
        self._next = dict(start)
        self._published = dict(restored or {})
        self._unfinished: dict[Modality, dict[str | None, dict[int, None]]] = {modality: {} for modality in start}
        self._pending: deque[Pending] = deque()
        self._is_abandoned = False

    def add(self, modality: Modality, offset: int, stream: str | None) -> None:
        """Add a fetched record as unfinished."""
        self._next[modality] = offset + 1
        snapshot = None if stream is None else self._published.get(stream)
        if snapshot is not None and offset < snapshot.positions[modality] and snapshot.is_finished(modality, offset):
            return
        streams = self._unfinished[modality]
        offsets = streams.get(stream)
        if offsets is None:
            streams[stream] = {offset: None}
        else:
            offsets[offset] = None

    def update_positions(self, positions: Mapping[Modality, int]) -> None:
        """Set the next offset to be read of each partition. Offsets without a record may have been skipped."""
        self._next.update(positions)

    def positions(self) -> dict[Modality, int]:
        """Return the next offset to be read of each partition."""
        return dict(self._next)

    def await_result(self, stream: str, snapshot: Snapshot) -> Pending:
        """Register a result that will be published. It finishes the records of its stream that `snapshot` is past."""
        return self._register(lambda: self._finish_stream(stream, snapshot))

    def await_dead_letter(self, modality: Modality, offset: int, stream: str | None) -> Pending:
        """Register a dead letter that no result counts. Its publication finishes its record."""
        return self._register(lambda: self._finish_record(modality, offset, stream))

    def finish_now(self, modality: Modality, offset: int, stream: str | None) -> None:
        """Finish a record that has no effect on any result."""
        self._finish_record(modality, offset, stream)

    def forget(self, stream: str, positions: Mapping[Modality, int]) -> None:
        """Finish all records of a stream before `positions`, after all earlier decisions are published."""
        pending = self._register(lambda: self._finish_before(stream, positions))
        self.complete(pending)

    def abandon(self) -> None:
        """Stop publishing and finishing, for good. Open decisions are made again, by this worker or by another.

        Any thread may call this, but the thread that publishes must see it before it publishes the next decision.
        """
        self._is_abandoned = True

    @property
    def may_publish(self) -> bool:
        """Whether pending decisions may be published."""
        return not self._is_abandoned

    def complete(self, pending: Pending) -> None:
        """Mark a decision as published. Apply it, and those after it, once no earlier decision is pending."""
        if self._is_abandoned:
            return
        pending.done = True
        while self._pending and self._pending[0].done:
            self._pending.popleft().apply()

    @property
    def pending(self) -> int:
        """The number of decisions that have not taken effect yet."""
        return len(self._pending)

    def committable(self) -> dict[Modality, int]:
        """Return the lowest unfinished offset of each partition, or else the next one to be read."""
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

    def _register(self, apply: Callable[[], None]) -> Pending:
        pending = Pending(apply)
        self._pending.append(pending)
        return pending

    def _finish_stream(self, stream: str, snapshot: Snapshot) -> None:
        self._published[stream] = snapshot
        for modality, streams in self._unfinished.items():
            offsets = streams.get(stream)
            if not offsets:
                continue
            # Offsets are in ascending order. Only those before the position are looked at: a stream that is far behind
            # has many more.
            needed, position = snapshot.needed(modality), snapshot.positions[modality]
            finished = []
            for offset in offsets:
                if offset >= position:
                    break
                if offset not in needed:
                    finished.append(offset)
            for offset in finished:
                del offsets[offset]

    def _finish_before(self, stream: str, positions: Mapping[Modality, int]) -> None:
        self._published.pop(stream, None)
        for modality, streams in self._unfinished.items():
            left = {offset: None for offset in streams.pop(stream, {}) if offset >= positions[modality]}
            if left:
                streams[stream] = left

    def _finish_record(self, modality: Modality, offset: int, stream: str | None) -> None:
        offsets = self._unfinished[modality].get(stream, {})
        offsets.pop(offset, None)
        if not offsets:
            self._unfinished[modality].pop(stream, None)
