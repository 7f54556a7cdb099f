"""The pictures of one closed window, for a model and for detectors. A picture that both see is decoded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from triptych.models.model import InputSpec
from triptych.models.window import DetectionPicture
from triptych.schemas.records import VideoFrame
from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.alignment.entry import Entry
from triptych.worker.media.errors import UnreadableMediaError
from triptych.worker.media.picture import DecodedPicture, decode_for_detector, decode_picture
from triptych.worker.media.selection import choose_evenly
from triptych.worker.media.window_items import BadItem, media_of

_Decoded = TypeVar("_Decoded")


class WindowPictures:
    """Chooses and decodes pictures of one window. No other picture is decoded. Not thread-safe.

    Call `for_detectors` before `for_model`: the model's frames reuse what was decoded for detectors.
    """

    def __init__(self, window: ClosedWindow, spec: InputSpec) -> None:
        """Decode nothing yet."""
        self._window = window
        self._spec = spec
        self._entries, self._times_ns = _frames(window)
        self._shared: dict[int, DecodedPicture] = {}
        self._bad: dict[int, BadItem] = {}

    @property
    def bad(self) -> tuple[BadItem, ...]:
        """The pictures that could not be decoded so far, each once."""
        return tuple(self._bad.values())

    def limited(self, count: int) -> int:
        """Return how many pictures would be chosen of at most `count`."""
        return min(len(self._entries), count)

    def for_detectors(self, count: int) -> tuple[DetectionPicture, ...]:
        """Return at most `count` pictures for detectors, and no more than the spec asks for."""
        if self._spec.detection is None:
            return ()
        max_side = self._spec.detection.max_side

        def decode(index: int) -> DetectionPicture:
            self._shared[index] = decode_for_detector(self._data(index), max_side)
            return self._shared[index].for_detector(max_side, self._times_ns[index])

        return tuple(picture for _, picture in self._chosen(min(count, self._spec.detection.pictures), decode))

    def for_model(self, count: int) -> tuple[tuple[int, NDArray[np.uint8]], ...]:
        """Return times and pixels, uint8 [H, W, 3], of at most `count` frames, and no more than the spec asks for."""

        def decode(index: int) -> NDArray[np.uint8]:
            shared = self._shared.get(index)
            return decode_picture(self._data(index), self._spec) if shared is None else shared.for_model(self._spec)

        return self._chosen(min(count, self._spec.frames), decode)

    def _chosen(self, count: int, decode: Callable[[int], _Decoded]) -> tuple[tuple[int, _Decoded], ...]:
        """Return the times and decoded pictures of at most `count` pictures, evenly spaced, in time order."""
        decoded: dict[int, _Decoded] = {}

        def decodes(index: int) -> bool:
            if index in self._bad:
                return False
            try:
                decoded[index] = decode(index)
            except UnreadableMediaError as error:
                self._bad[index] = BadItem(self._entries[index], str(error), error.code)
            return index in decoded

        start_ns, end_ns = self._window.start_ns, self._window.end_ns
        chosen = choose_evenly(self._times_ns, decodes, start_ns=start_ns, end_ns=end_ns, count=count)
        return tuple((self._times_ns[index], decoded[index]) for index in chosen)

    def _data(self, index: int) -> bytes:
        return media_of(self._entries[index], VideoFrame).data


def _frames(window: ClosedWindow) -> tuple[Sequence[Entry], Sequence[int]]:
    """Return the frames of a window and their times. A held frame is placed at the start of the window."""
    if window.states["video"] == "held" and window.held is not None:
        return [window.held], [window.start_ns]
    entries = window.items.get("video", ())
    return entries, [entry.start_ns for entry in entries]
