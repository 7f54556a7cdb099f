"""Selects the frames of a window that the model sees, evenly over the window's time. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def choose_evenly(
    times_ns: Sequence[int],
    usable: Callable[[int], bool],
    *,
    start_ns: int,
    end_ns: int,
    count: int,
) -> tuple[int, ...]:
    """Return the indices of at most `count` times: those nearest to the centres of `count` equal parts, by time.

    No index is chosen twice. `usable` is called only for an index that is the nearest. If it returns False, the next
    nearest is tried. Of two equally near times, the earlier index is chosen.
    """
    left = list(range(len(times_ns)))
    chosen: list[int] = []
    span_ns = end_ns - start_ns
    for part in range(count):
        doubled_centre = (2 * part + 1) * span_ns  # in units of 1 / (2 * count), which keeps it an integer

        def distance(index: int, doubled_centre: int = doubled_centre) -> tuple[int, int]:
            return abs(2 * count * (times_ns[index] - start_ns) - doubled_centre), index

        while left:
            nearest = min(left, key=distance)
            left.remove(nearest)
            if usable(nearest):
                chosen.append(nearest)
                break
    return tuple(sorted(chosen, key=lambda index: (times_ns[index], index)))
