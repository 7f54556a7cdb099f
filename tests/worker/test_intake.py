"""Limits that are checked before decoding, and redriven records of this and of other pipelines."""

from __future__ import annotations

from triptych.schemas.names import SUBTITLES_TOPIC, VIDEO_TOPIC
from triptych.schemas.reasons import DeadReason
from triptych.transport.records import Record
from triptych.worker.alignment.entry import Kind
from triptych.worker.intake import MAX_TEXT_BYTES, Received, received_entry


def test_a_cue_with_too_much_text_is_dead() -> None:
    """The limit is in bytes and checked before decoding. The reason has both numbers."""
    text = "é" * (MAX_TEXT_BYTES // 2 + 1)
    record = Record(SUBTITLES_TOPIC, 0, 7, 1, b"city", text.encode(), ())

    entry = received_entry(record, 1)

    assert (entry.kind, entry.stream) == (Kind.DEAD, "city")
    assert isinstance(entry.payload, Received)
    assert entry.payload.reason == f"text: expected at most {MAX_TEXT_BYTES} bytes in a cue, got {MAX_TEXT_BYTES + 2}"
    assert entry.payload.code is DeadReason.TOO_LARGE


def test_a_record_that_another_pipeline_redrove_is_not_decoded() -> None:
    """A broken one would become a second dead letter here. Without a pipeline name, every pipeline decodes it."""

    def kind_for(pipeline: str, *headers: tuple[str, bytes]) -> tuple[Kind, bool]:
        record = Record(VIDEO_TOPIC, 0, 7, 1, b"city", b"x", (("ce_redriven", b"true"), *headers))
        entry = received_entry(record, 1, pipeline)
        return entry.kind, entry.redriven

    letter = ("ce_letter", b"day/triptych.video/0/3")
    assert kind_for("night", letter) == (Kind.OTHER_PIPELINE, True)
    assert kind_for("day", letter) == (Kind.DEAD, True)
    assert kind_for("night") == (Kind.DEAD, True)
