"""A cue as a file has it: words and the span of the file's own time in which they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DEFAULT_DURATION_NS: Final = 3_000_000_000
"""How long a cue is taken to be shown that does not say; about a line's reading time."""


@dataclass(frozen=True, slots=True)
class Cue:
    """Words and their span, in nanoseconds from the file's first moment; `generated_by` names what heard them."""

    start_ns: int
    end_ns: int
    text: str
    language: str | None = None
    generated_by: str | None = None
