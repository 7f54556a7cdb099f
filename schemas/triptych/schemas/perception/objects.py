"""What is seen in the pictures of a window: detections, and how many there are of a label."""

from __future__ import annotations

import operator

from pydantic import Field

from triptych.schemas.values import WRITTEN_WHERE_TRUE, Count, Nanoseconds, Value


class Detection(Value):
    """An object in one picture of the window.

    `time_ns` is the time of the picture, `box` the left, top, right and bottom edge in pixels of the picture as it was
    sent, and `score` from 0 to 1. Detections with the same `track` are the same object of the stream, as far as the
    tracker could tell; null if the detection belongs to no track.
    """

    time_ns: Nanoseconds
    label: str
    score: float
    box: tuple[int, int, int, int]
    track: Count | None = Field(default=None, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)


class ObjectCount(Value):
    """How many objects of a label were seen in the pictures of the window that were examined.

    `median` and `largest` are taken over these pictures. `entered` and `left` count the tracks that began and ended in
    this window, and `passages` all that have ended since the stream began, or since no picture of it was examined for
    its TTL.
    """

    median: float
    largest: Count
    entered: Count = Field(default=0, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
    left: Count = Field(default=0, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
    passages: Count = Field(default=0, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
