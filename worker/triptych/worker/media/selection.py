"""Which frames of a window the model sees: chosen by time alone, evenly over the window's span. Pure."""

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
    """Return the indices of at most `count` times, in order: the nearest to the centres of `count` equal parts.

    No index is chosen twice. `usable` is asked about an index only once it is the nearest; where it says no, the next
    nearest takes its place. Of two that are equally near the earlier one is chosen.
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
