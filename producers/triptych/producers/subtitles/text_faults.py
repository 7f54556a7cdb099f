"""Count what of the subtitles of one source could not be read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class TextFaults:
    """The counts of one source, from its opening on.

    Attributes:
        skipped: blocks of a subtitle file that are no cues, and packets of a text track that could not be read.
        undecodable: characters that could not be decoded.
    """

    skipped: int = 0
    undecodable: int = 0

    @property
    def total(self) -> int:
        """All faults together."""
        return self.skipped + self.undecodable
