"""Tell what is shown again from what is said again.

Rolling captions show each line two or three times while it moves up, and signs are drawn in layers of the same text. A
line that is still shown when a cue begins is not new. A line that comes back after it was gone is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from triptych.producers.subtitles.cue import Cue
from triptych.units import NS_PER_MS

_MAX_GAP_NS: Final = 50 * NS_PER_MS
"""Up to a frame may lie between two cues of which the second continues to show a line of the first."""

_MAX_SHOWN: Final = 32


@dataclass(frozen=True, slots=True)
class _Shown:
    end_ns: int
    lines: tuple[str, ...]


class RepeatFilter:
    """Take the cues of one track in the order of their starts, and remove what is shown already."""

    def __init__(self) -> None:
        self._shown: deque[_Shown] = deque(maxlen=_MAX_SHOWN)
        self.repeats = 0

    def new_part(self, cue: Cue) -> Cue | None:
        """Return the cue without the lines that are shown already; None where nothing is left."""
        lines = tuple(cue.text.split("\n"))
        shown = [other for other in self._shown if other.end_ns + _MAX_GAP_NS >= cue.start_ns]
        self._shown = deque(shown, maxlen=_MAX_SHOWN)
        self._shown.append(_Shown(cue.end_ns, lines))
        repeated = max((_repeated(lines, other.lines) for other in shown), default=0)
        if repeated == len(lines):
            self.repeats += 1
            return None
        return replace(cue, text="\n".join(lines[repeated:])) if repeated else cue


def without_repeats(cues: Iterable[Cue]) -> Iterator[Cue]:
    """Yield the cues without what was shown already. A cue that is shown on by the next one lasts as long as both."""
    repeats = RepeatFilter()
    last: Cue | None = None
    for cue in cues:
        new = repeats.new_part(cue)
        if new is None and last is not None and last.text == cue.text:
            last = replace(last, end_ns=max(last.end_ns, cue.end_ns))
        elif new is not None:
            if last is not None:
                yield last
            last = new
    if last is not None:
        yield last


def _repeated(lines: tuple[str, ...], shown: tuple[str, ...]) -> int:
    """Return how many lines of a cue are shown already: its first ones, which were the last ones, or all of them."""
    if set(lines) <= set(shown):
        return len(lines)
    return next((count for count in range(min(len(lines), len(shown)), 0, -1) if lines[:count] == shown[-count:]), 0)
