"""A cue: text, and the span of time in which it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DEFAULT_DURATION_NS: Final = 3_000_000_000
"""The duration of a cue that states none: about the reading time of a line."""


@dataclass(frozen=True, slots=True)
class Cue:
    """Text and its span, in nanoseconds from the start of the file.

    Attributes:
        language: the language tag; None where it is unknown.
        generated_by: the model that transcribed the text; None for authored text.
    """

    start_ns: int
    end_ns: int
    text: str
    language: str | None = None
    generated_by: str | None = None
