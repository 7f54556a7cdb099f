"""Detect timestamps that jump: to another part of the stream, back to zero, or at a wrap-around. Pure.

A jump counts once three packets of a track agree on it. So a single wrong timestamp is dropped, and a track with one
frame every ten seconds does not count as jumping.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

JUMP_NS: Final = 5_000_000_000
"""The largest gap in the timestamps of a continuous stream."""

_CONFIRMATIONS: Final = 3
_STRAGGLERS: Final = 200
"""The number of packets after a jump among which another track may still send packets from before it."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Jump:
    """The timestamps continue elsewhere; `origin_ns` is the earliest one there, as far as known."""

    origin_ns: int


@dataclass(frozen=True, slots=True)
class _Suspect(Generic[T]):
    at_ns: int
    item: T


class JumpDetector(Generic[T]):
    """Pass items on in order, with a `Jump` before those whose timestamps have jumped.

    Attributes:
        dropped: the number of items with wrong timestamps, or from before a jump.
    """

    def __init__(self) -> None:
        self._last_ns: dict[int, int] = {}
        self._suspects: dict[int, list[_Suspect[T]]] = {}
        self._stragglers = 0
        self.dropped = 0

    def feed(self, track: int, at_ns: int, item: T) -> Iterator[T | Jump]:
        """Take an item of a track with its decoding timestamp."""
        self._stragglers = max(0, self._stragglers - 1)
        if not self._is_discontinuous(track, at_ns):
            self.dropped += len(self._suspects.pop(track, ()))
            self._last_ns[track] = at_ns
            yield item
        elif self._stragglers:
            self.dropped += 1
        else:
            yield from self._hold(track, at_ns, item)

    def finish(self) -> Iterator[T]:
        """Yield the items that are still held back at the end."""
        for track in list(self._suspects):
            yield from self._accept(track)

    def _hold(self, track: int, at_ns: int, item: T) -> Iterator[T | Jump]:
        held = self._suspects.setdefault(track, [])
        if held and abs(at_ns - held[-1].at_ns) > JUMP_NS:
            yield from self._accept(track)
            yield from self.feed(track, at_ns, item)
            return
        held.append(_Suspect(at_ns, item))
        if len(held) == _CONFIRMATIONS:
            near = [other for others in self._suspects.values() for other in others if _near(other, at_ns)]
            yield Jump(min(suspect.at_ns for suspect in near))
            yield from self._jump(at_ns)

    def _jump(self, at_ns: int) -> Iterator[T]:
        """Continue after the jump, with the held items that belong there."""
        suspects, self._suspects, self._last_ns = self._suspects, {}, {}
        self._stragglers = _STRAGGLERS
        for track, held in suspects.items():
            near = [one for one in held if _near(one, at_ns)]
            self.dropped += len(held) - len(near)
            for one in near:
                self._last_ns[track] = one.at_ns
                yield one.item

    def _accept(self, track: int) -> Iterator[T]:
        for one in self._suspects.pop(track):
            self._last_ns[track] = one.at_ns
            yield one.item

    def _is_discontinuous(self, track: int, at_ns: int) -> bool:
        """Return whether a timestamp is too far ahead of all tracks, or too far behind its own track."""
        if not self._last_ns:
            return False
        ahead = at_ns > max(self._last_ns.values()) + JUMP_NS
        behind = at_ns < self._last_ns.get(track, at_ns) - JUMP_NS
        # A track without packets since a jump is compared with the others: it may still come from before the jump.
        is_stale = (
            bool(self._stragglers) and track not in self._last_ns and at_ns < min(self._last_ns.values()) - JUMP_NS
        )
        return ahead or behind or is_stale


def _near(one: _Suspect[T], at_ns: int) -> bool:
    return abs(one.at_ns - at_ns) <= JUMP_NS
