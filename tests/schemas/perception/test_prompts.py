"""Prompts, their changes and feedback: what is valid, and their messages."""

from __future__ import annotations

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event

from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.perception.matches import Match
from triptych.schemas.perception.prompt_codec import (
    decode_feedback,
    decode_prompt_change,
    encode_feedback,
    encode_prompt_change,
)
from triptych.schemas.perception.prompts import Feedback, Prompt, PromptChange
from triptych.schemas.results import ModelReference
from triptych.schemas.validation import built

FIRE = Prompt(name="fire", texts={"en": "a fire", "zh": "着火"}, negatives=("a sunset",), feeds=("cam-*", "gate"))
FEEDBACK = Feedback(
    result_id="cam-1/0-2000000000/0",
    stream="cam-1",
    prompt="fire",
    answer="no",
    match=Match(version=FIRE.version, score=0.9, log_odds=2.2),
    model=ModelReference(name="base", version="1", sha256="a" * 64),
    given_ns=1_767_225_600_000_000_000,
)


def test_the_version_is_that_of_the_question() -> None:
    """The texts and negatives decide a match; the order of the languages and the feeds do not."""
    same = Prompt(name="fire", texts={"zh": "着火", "en": "a fire"}, negatives=("a sunset",))
    assert same.version == FIRE.version
    for other in ({"texts": {"en": "a fire"}}, {"negatives": ()}, {"negatives": ("a lamp",)}):
        assert FIRE.model_copy(update=other).version != FIRE.version


def test_feeds_are_patterns() -> None:
    """Of whole stream ids, in their own case."""
    assert [FIRE.applies_to(stream) for stream in ("cam-1", "gate", "gate-2", "Cam-1")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "a fire"),
        ("name", ""),
        ("texts", {}),
        ("texts", {"english": "a fire"}),
        ("texts", {"en": "  "}),
        ("texts", {"en": "x" * 301}),
        ("texts", {"en": "a\x1b[31mfire"}),
        ("negatives", ("?",)),
        ("negatives", ("a sunset",) * 17),
        ("feeds", ()),
        ("feeds", ("cam 1",)),
    ],
)
def test_an_invalid_prompt_is_rejected_with_its_field(field: str, value: object) -> None:
    """Before it is sent, and again by whoever reads it."""
    fields = {"name": "fire", "texts": {"en": "a fire"}, "negatives": (), "feeds": ("*",)}
    with pytest.raises(MalformedRecordError, match=field):
        built(Prompt, fields | {field: value})


def test_changes_survive_their_messages() -> None:
    """A prompt that is set, and one that is removed. The key has the id, so that compaction keeps each change."""
    for change in (PromptChange(id="1", name="fire", prompt=FIRE), PromptChange(id="2", name="fire")):
        wire = encode_prompt_change(change, pipeline="city", moment_ns=7)
        assert wire.key == f"fire/{change.id}".encode()
        assert wire.value
        assert decode_prompt_change(wire.value, wire.headers) == change


def test_feedback_survives_its_message() -> None:
    """The key names result and prompt, so that compaction keeps the last answer."""
    wire = encode_feedback(FEEDBACK, pipeline="city")
    assert wire.key == b"fire/cam-1/0-2000000000/0"
    assert decode_feedback(wire.value, wire.headers) == FEEDBACK


def test_the_official_library_reads_both() -> None:
    """They are CloudEvents in binary mode."""
    change = encode_prompt_change(PromptChange(id="1", name="fire", prompt=FIRE), pipeline="city", moment_ns=7)
    for wire, kind in ((change, "triptych.prompt"), (encode_feedback(FEEDBACK, pipeline="city"), "triptych.feedback")):
        event = from_binary_event(KafkaMessage(dict(wire.headers), wire.key, wire.value))
        assert (event.get_type(), event.get_source()) == (kind, "/triptych/pipelines/city")


def test_a_message_of_another_kind_is_rejected() -> None:
    """As is one whose prompt has another name."""
    wire = encode_feedback(FEEDBACK, pipeline="city")
    with pytest.raises(MalformedRecordError, match="ce_type"):
        decode_prompt_change(wire.value, wire.headers)
    renamed = encode_prompt_change(PromptChange(id="1", name="smoke", prompt=FIRE), pipeline="city", moment_ns=7)
    with pytest.raises(MalformedRecordError, match="the name of the change"):
        decode_prompt_change(renamed.value, renamed.headers)
