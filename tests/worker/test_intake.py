"""What is bounded before anything is done with it."""

from __future__ import annotations

from triptych.schemas.names import SUBTITLES_TOPIC
from triptych.transport.records import Record
from triptych.worker.alignment.entry import Kind
from triptych.worker.intake import MAX_TEXT_BYTES, Received, received_entry


def test_a_cue_with_too_much_text_is_dead() -> None:
    """Counted in bytes, and refused before it is decoded; the reason says both numbers."""
    text = "é" * (MAX_TEXT_BYTES // 2 + 1)
    record = Record(SUBTITLES_TOPIC, 0, 7, 1, b"city", text.encode(), ())

    entry = received_entry(record, 1)

    assert (entry.kind, entry.stream) == (Kind.DEAD, "city")
    assert isinstance(entry.payload, Received)
    assert entry.payload.reason == f"text: expected at most {MAX_TEXT_BYTES} bytes in a cue, got {MAX_TEXT_BYTES + 2}"
