"""Flags of technical quality, with hysteresis: what a window's measures mean after those of the windows before. Pure.

The state consists of published results only, so a restart restores it from the tail of the results topic and raises the
same flags as an undisturbed worker (alignment rule 21, docs/alignment.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from triptych.schemas.results import Quality, QualityFlag, Result
from triptych.worker.publishing.window_memory import WindowMemory

_REMEMBERED_WINDOWS: Final = 8
_FIXED_WINDOWS: Final = 4
"""How many windows before show the same view where a camera counts as fixed."""
_SAME_VIEW_BITS: Final = 8
_OTHER_VIEW_BITS: Final = 20
"""Of the 64 bits of `Quality.layout`. Two unrelated views differ in about 32."""


@dataclass(frozen=True, slots=True)
class FlagLimits:
    """A measure and its two limits. The measure is bad from `begin` on and good again beyond `end`."""

    flag: QualityFlag
    read: Callable[[Quality], float | None]
    begin: float
    end: float

    def applies(self, measured: Quality, *, was_set: bool) -> bool:
        """Return whether the flag is set, given whether the window before had it. False without the measure."""
        value = self.read(measured)
        if value is None:
            return False
        limit = self.end if was_set else self.begin
        return value >= limit if self.begin > self.end else value <= limit


BLACK: Final = FlagLimits("black", lambda measured: measured.dark_share, begin=0.98, end=0.95)
LIMITS: Final = (
    FlagLimits("frozen", lambda measured: measured.change, begin=0.0003, end=0.001),
    FlagLimits("blurred", lambda measured: measured.sharpness, begin=0.12, end=0.18),
)
AUDIO_LIMITS: Final = (
    FlagLimits("silent", lambda measured: measured.level_dbfs, begin=-60.0, end=-55.0),
    FlagLimits("clipping", lambda measured: measured.clipped_share, begin=0.001, end=0.0002),
)


@dataclass(frozen=True, slots=True)
class FlaggedView:
    """What the flags of later windows need of a window: its own flags, and its view as the bits of `Quality.layout`.

    A `Quality` takes ten times the memory, and each stream keeps several.
    """

    flags: tuple[str, ...]
    view: int | None

    @classmethod
    def of(cls, measured: Quality) -> FlaggedView:
        """Return what is needed of a window's measures and flags."""
        return cls(measured.flags, _view_of(measured.layout))


def quality_flags(measured: Quality, before: Sequence[FlaggedView]) -> tuple[QualityFlag, ...]:
    """Return the flags of a window.

    A black picture has no other flag of its frames: they would have the same cause.

    Args:
        measured: the measures of the window.
        before: the flags and views of the windows of the stream before it, oldest first.
    """
    last = before[-1].flags if before else ()
    if BLACK.applies(measured, was_set="black" in last):
        flags: list[QualityFlag] = ["black"]
    else:
        flags = [each.flag for each in LIMITS if each.applies(measured, was_set=each.flag in last)]
        if _has_moved(measured, before):
            flags.append("moved")
    flags += [each.flag for each in AUDIO_LIMITS if each.applies(measured, was_set=each.flag in last)]
    return tuple(flags)


def _has_moved(measured: Quality, before: Sequence[FlaggedView]) -> bool:
    """Return whether a fixed camera shows another view now.

    A camera counts as fixed when consecutive windows before this one show the same view. A film whose scenes change
    never has so many. The flag stays while such a run is remembered and the view is not back: until the new view has
    been there as long.
    """
    view = _view_of(measured.layout)
    if view is None:
        return False
    views = [each.view for each in before if each.view is not None and "black" not in each.flags]
    for last in range(len(views), _FIXED_WINDOWS - 1, -1):
        latest = views[last - 1]
        if all(_differing_bits(each, latest) <= _SAME_VIEW_BITS for each in views[last - _FIXED_WINDOWS : last]):
            return _differing_bits(view, latest) >= _OTHER_VIEW_BITS
    return False


def _view_of(layout: str | None) -> int | None:
    """Return the bits of a layout; None without one, or if it is not a number: the result of another program."""
    try:
        return None if layout is None else int(layout, 16)
    except ValueError:
        return None


def _differing_bits(one: int, other: int) -> int:
    return (one ^ other).bit_count()


class QualityHistory:
    """The quality of the recent windows of each stream of one partition."""

    def __init__(self, stream_ttl_ns: int) -> None:
        """Create an empty history. `stream_ttl_ns` is measured in arrival time."""
        self._windows: WindowMemory[FlaggedView] = WindowMemory(stream_ttl_ns, windows=_REMEMBERED_WINDOWS)

    def with_flags(self, result: Result) -> Result:
        """Return a new result, which has no flags yet, with its flags; remember it if it has measures."""
        if result.quality is None:
            return result
        before = [window.value for window in self._windows.before(result)]
        flags = quality_flags(result.quality, before)
        flagged = result
        if flags:  # few windows have any, and copies are dear
            flagged = result.model_copy(update={"quality": result.quality.model_copy(update={"flags": flags})})
        self.remember(flagged)
        return flagged

    def remember(self, result: Result) -> None:
        """Add a published result to the history of its stream. A revision takes the place of the result before."""
        if result.quality is not None:
            self._windows.add(result, FlaggedView.of(result.quality))
