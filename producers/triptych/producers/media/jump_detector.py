"""Whether time stamps run on, or have jumped: elsewhere in the film, to zero, around the end of their bits. Pure.

A jump counts once three packets of a track agree on it: one wrong stamp is left out, and a track that has a picture
every ten seconds has not jumped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

JUMP_NS: Final = 5_000_000_000
"""What time stamps may leave out without having jumped."""

_CONFIRMED_BY: Final = 3
_STRAGGLERS: Final = 200
"""Packets after a jump within which another track may still come from the time before."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Jump:
    """Time goes on at another place; `origin_ns` is the earliest stamp there as far as known."""

    origin_ns: int


@dataclass(frozen=True, slots=True)
class _Doubtful(Generic[T]):
    at_ns: int
    item: T


class JumpDetector(Generic[T]):
    """Pass items on in their order, with a `Jump` before those that lie elsewhere.

    Attributes:
        left_out: items whose stamps were wrong, or that came from before a jump.
    """

    def __init__(self) -> None:
        self._last_ns: dict[int, int] = {}
        self._doubtful: dict[int, list[_Doubtful[T]]] = {}
        self._stragglers = 0
        self.dropped = 0

    def feed(self, track: int, at_ns: int, item: T) -> Iterator[T | Jump]:
        """Take an item of a track with its decoding time stamp."""
        self._stragglers = max(0, self._stragglers - 1)
        if not self._is_elsewhere(track, at_ns):
            self.dropped += len(self._doubtful.pop(track, ()))
            self._last_ns[track] = at_ns
            yield item
        elif self._stragglers:
            self.dropped += 1
        else:
            yield from self._doubt(track, at_ns, item)

    def finish(self) -> Iterator[T]:
        """Yield what was in doubt at the end."""
        for track in list(self._doubtful):
            yield from self._believe(track)

    def _doubt(self, track: int, at_ns: int, item: T) -> Iterator[T | Jump]:
        held = self._doubtful.setdefault(track, [])
        if held and abs(at_ns - held[-1].at_ns) > JUMP_NS:
            yield from self._believe(track)
            yield from self.feed(track, at_ns, item)
            return
        held.append(_Doubtful(at_ns, item))
        if len(held) == _CONFIRMED_BY:
            near = [other for others in self._doubtful.values() for other in others if _near(other, at_ns)]
            yield Jump(min(doubtful.at_ns for doubtful in near))
            yield from self._settle(at_ns)

    def _settle(self, at_ns: int) -> Iterator[T]:
        """Go on at the new place, with what is known of it."""
        doubtful, self._doubtful, self._last_ns = self._doubtful, {}, {}
        self._stragglers = _STRAGGLERS
        for track, held in doubtful.items():
            near = [one for one in held if _near(one, at_ns)]
            self.dropped += len(held) - len(near)
            for one in near:
                self._last_ns[track] = one.at_ns
                yield one.item

    def _believe(self, track: int) -> Iterator[T]:
        for one in self._doubtful.pop(track):
            self._last_ns[track] = one.at_ns
            yield one.item

    def _is_elsewhere(self, track: int, at_ns: int) -> bool:
        """Return whether a stamp lies too far ahead of all tracks, or behind its own."""
        if not self._last_ns:
            return False
        ahead = at_ns > max(self._last_ns.values()) + JUMP_NS
        behind = at_ns < self._last_ns.get(track, at_ns) - JUMP_NS
        # A track not heard since a jump is measured by the others: it may still come from before.
        astray = bool(self._stragglers) and track not in self._last_ns and at_ns < min(self._last_ns.values()) - JUMP_NS
        return ahead or behind or astray


def _near(one: _Doubtful[T], at_ns: int) -> bool:
    return abs(one.at_ns - at_ns) <= JUMP_NS
