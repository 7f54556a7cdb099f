"""The text records of a session."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from triptych.schemas.records import End, InputRecord, Progress


def text_records(records: Sequence[InputRecord]) -> list[InputRecord]:
    """Return the text records, after checking their watermarks."""
    text = [record for record in records if record.modality == "subtitles"]
    for before, after in pairwise(text):
        assert after.watermark_ns >= before.watermark_ns
        assert after.start_ns >= before.watermark_ns or isinstance(after, Progress | End)
    return text
