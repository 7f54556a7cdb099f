"""Detect timestamps that jump: to another part of the stream, back by whatever little, or at a wrap-around. Pure.

The decoding timestamps of a track never decrease. So a few of them behind the track's own last one begin another part
of the stream, however small the step: joined files, a clock set back, HLS segments that begin anew. A jump ahead is
more than `JUMP_NS`. Either counts once several packets of a track agree on it. So a single wrong timestamp is dropped,
and a track with one frame every ten seconds does not count as jumping.

Tracks do not jump at the same packet. From the confirmed jump of one track on, everything is held until the others have
jumped too, or have shown that they do not. So what another track still sends from before the jump stays before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

JUMP_NS: Final = 5_000_000_000
"""The largest gap in the timestamps of a continuous stream."""

_CONFIRMATIONS: Final = 3
_REORDERED_CONFIRMATIONS: Final = 17
"""For small steps back in video: some files store presentation times as decoding times, and no codec reorders more than
16 frames."""

_STRAGGLERS: Final = 200
"""The number of packets after a jump among which another track may still send packets from before it."""

_MAX_PENDING: Final = 300
"""The number of packets that are held until all tracks have jumped."""

_STAYS_NS: Final = 1_500_000_000
"""A track that goes on for this long, while another has jumped, does not jump. No muxer interleaves as badly."""

_ACTIVE_NS: Final = 3_000_000_000
"""A track that is further behind the others than this has ended or pauses, and nothing waits for it to jump."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Jump:
    """The timestamps continue elsewhere; `origin_ns` is the earliest one there, as far as known."""

    origin_ns: int


@dataclass(frozen=True, slots=True)
class _Held(Generic[T]):
    number: int
    track: int
    at_ns: int
    item: T
    may_be_reordered: bool


class _PendingJump(Generic[T]):
    """A confirmed jump of one track, and all items since, until the other tracks are known to jump or not."""

    def __init__(self, suspects: list[_Held[T]], at_ns: int) -> None:
        self.items = sorted(suspects, key=lambda one: one.number)
        self.at_ns = at_ns
        self.moved_at: dict[int, int] = {}
        self._continued: dict[int, tuple[int, int]] = {}
        for one in self.items:
            self.moved_at.setdefault(one.track, one.number)

    def add(self, one: _Held[T], *, has_moved: bool) -> None:
        """Hold an item of a track that jumps with it (`has_moved`), has jumped before, or goes on."""
        self.items.append(one)
        if has_moved:
            self.moved_at.setdefault(one.track, one.number)
        elif one.track not in self.moved_at:
            first_ns, _ = self._continued.get(one.track, (one.at_ns, 0))
            self._continued[one.track] = (first_ns, one.at_ns)

    def is_settled(self, last_ns: dict[int, int]) -> bool:
        """Return whether it is known of each active track whether it jumps."""
        active_ns = max(last_ns.values()) - _ACTIVE_NS
        return len(self.items) >= _MAX_PENDING or all(
            track in self.moved_at or at_ns < active_ns or self._stays(track) for track, at_ns in last_ns.items()
        )

    def is_before(self, one: _Held[T]) -> bool:
        """Return whether an item lies before the jump."""
        if one.track in self.moved_at:
            return one.number < self.moved_at[one.track]
        return abs(one.at_ns - self.at_ns) > JUMP_NS

    def _stays(self, track: int) -> bool:
        first_ns, latest_ns = self._continued.get(track, (0, 0))
        return latest_ns - first_ns >= _STAYS_NS


class JumpDetector(Generic[T]):
    """Pass items on in order, with a `Jump` before those whose timestamps have jumped.

    Attributes:
        dropped: the number of items with wrong timestamps, or from before a jump.
    """

    def __init__(self) -> None:
        self._last_ns: dict[int, int] = {}
        self._suspects: dict[int, list[_Held[T]]] = {}
        self._pending: _PendingJump[T] | None = None
        self._left_behind: set[int] = set()
        self._stragglers = 0
        self._count = 0
        self.dropped = 0

    def feed(self, track: int, at_ns: int, item: T, *, may_be_reordered: bool = False) -> Iterable[T | Jump]:
        """Take an item of a track; return what can be passed on now.

        Args:
            track: the number of the track.
            at_ns: its decoding timestamp.
            item: what to pass on.
            may_be_reordered: whether a wrong muxer may have put it behind items that are shown later: video that is no
                key frame.
        """
        self._count += 1
        if self._stragglers:
            self._stragglers -= 1
        last_ns = self._last_ns.get(track)
        is_next = last_ns is not None and last_ns <= at_ns <= last_ns + JUMP_NS
        if is_next and self._pending is None and track not in self._suspects:  # nearly every packet
            self._last_ns[track] = at_ns
            return (item,)
        return self._take(_Held(self._count, track, at_ns, item, may_be_reordered))

    def finish(self) -> Iterator[T | Jump]:
        """Yield the items that are still held back at the end."""
        if self._pending is not None:
            yield from self._jump(self._pending)
        for track in list(self._suspects):
            yield from self._accept(track)

    def _take(self, one: _Held[T]) -> Iterator[T | Jump]:
        is_discontinuous = self._is_discontinuous(one.track, one.at_ns)
        if self._pending is not None:
            yield from self._wait_for_others(self._pending, one, has_moved=is_discontinuous)
        elif not is_discontinuous:
            yield from self._refute(one.track)
            self._last_ns[one.track] = one.at_ns
            yield one.item
        elif self._stragglers and one.track in self._left_behind:
            self.dropped += 1
        else:
            yield from self._hold(one)

    def _refute(self, track: int) -> Iterator[T]:
        """Yield the suspects of a track whose timestamps go on as before, but drop those that are far off."""
        for one in self._suspects.pop(track, ()):
            if abs(one.at_ns - self._last_ns[track]) <= JUMP_NS:
                yield one.item
            else:
                self.dropped += 1

    def _hold(self, one: _Held[T]) -> Iterator[T | Jump]:
        held = self._suspects.setdefault(one.track, [])
        if held and abs(one.at_ns - held[-1].at_ns) > JUMP_NS:
            yield from self._accept(one.track)
            yield from self._take(one)
            return
        held.append(one)
        if len(held) >= self._needed(held[0]):
            yield from self._confirm(one.at_ns)

    def _needed(self, first: _Held[T]) -> int:
        is_small = abs(first.at_ns - self._last_ns.get(first.track, first.at_ns)) <= JUMP_NS
        return _REORDERED_CONFIRMATIONS if first.may_be_reordered and is_small else _CONFIRMATIONS

    def _confirm(self, at_ns: int) -> Iterator[T | Jump]:
        suspects = [one for held in self._suspects.values() for one in held]
        near = [one for one in suspects if abs(one.at_ns - at_ns) <= JUMP_NS]
        self.dropped += len(suspects) - len(near)
        self._suspects = {}
        self._pending = _PendingJump(near, at_ns)
        if self._pending.is_settled(self._last_ns):
            yield from self._jump(self._pending)

    def _wait_for_others(self, pending: _PendingJump[T], one: _Held[T], *, has_moved: bool) -> Iterator[T | Jump]:
        pending.add(one, has_moved=has_moved)
        if one.track not in pending.moved_at:
            self._last_ns[one.track] = one.at_ns
        if pending.is_settled(self._last_ns):
            yield from self._jump(pending)

    def _jump(self, pending: _PendingJump[T]) -> Iterator[T | Jump]:
        """Continue after the jump, with the held items that belong there."""
        before = [one for one in pending.items if pending.is_before(one)]
        after = [one for one in pending.items if not pending.is_before(one)]
        yield from (one.item for one in before)
        yield Jump(min(one.at_ns for one in after if abs(one.at_ns - pending.at_ns) <= JUMP_NS))
        self._left_behind = set(self._last_ns) - set(pending.moved_at)
        self._pending, self._last_ns = None, {}
        self._stragglers = _STRAGGLERS
        for one in after:
            yield from self._take(one)

    def _accept(self, track: int) -> Iterator[T]:
        for one in self._suspects.pop(track):
            self._last_ns[track] = one.at_ns
            yield one.item

    def _is_discontinuous(self, track: int, at_ns: int) -> bool:
        """Return whether a timestamp is behind its own track, or too far ahead of all tracks."""
        if not self._last_ns:
            return False
        ahead = at_ns > max(self._last_ns.values()) + JUMP_NS
        behind = at_ns < self._last_ns.get(track, at_ns)
        # A track without packets since a jump is compared with the others: it may still come from before the jump.
        is_stale = (
            bool(self._stragglers) and track not in self._last_ns and at_ns < min(self._last_ns.values()) - JUMP_NS
        )
        return ahead or behind or is_stale
