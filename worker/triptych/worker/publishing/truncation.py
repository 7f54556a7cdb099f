"""Smaller versions of messages that exceed Kafka's size limit. Pure.

A message that is too large is truncated instead of dropped, so that its place on the topic is taken.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from triptych.schemas.dead import DeadLetter
from triptych.schemas.dead_codec import encode_dead
from triptych.schemas.names import ORIGINAL64_HEADER_PREFIX, ORIGINAL_HEADER_PREFIX, SUBTITLES_TOPIC, dead_topic
from triptych.schemas.reasons import DeadReason
from triptych.schemas.results import Observations, Result
from triptych.transport.errors import RecordTooLargeError
from triptych.transport.records import Message
from triptych.units import NS_PER_MS

TRUNCATED_TEXT_CHARS: Final = 500


def truncate_dead_letter(letter: Message) -> Message:
    """Return a dead letter without the value and headers of its record.

    A record at the size limit leaves no room for the reason.
    """
    originals = (ORIGINAL_HEADER_PREFIX, ORIGINAL64_HEADER_PREFIX)
    headers = tuple((name, value) for name, value in letter.headers if not name.startswith(originals))
    return replace(letter, value=b"", headers=(*headers, ("ce_originwhole", b"false")))


def truncate_result(message: Message, error: RecordTooLargeError, pipeline: str) -> tuple[Message, ...]:
    """Return the messages to send instead of a result that is too large. The last one takes its place.

    The first call truncates the text of the window's cues; the subtitles topic still holds it whole. If the result is
    still too large, the next call removes everything that grows with the window, and puts a dead letter before the
    result that names the window's first cue.

    Raises:
        RecordTooLargeError: nothing is left to remove.
    """
    result = Result.model_validate_json(message.value or b"")
    words = result.observations.words
    if any(len(word.text) > TRUNCATED_TEXT_CHARS for word in words):
        short = tuple(word.model_copy(update={"text": word.text[:TRUNCATED_TEXT_CHARS]}) for word in words)
        return (_updated(message, result, observations=result.observations.model_copy(update={"words": short})),)
    grown = result.embedding or result.vectors or result.when or result.detections
    if result.observations == Observations() and not grown:
        raise error
    bare = _updated(message, result, observations=Observations(), embedding=None, vectors=None, when=(), detections=())
    return (*_dead_letter(message, result, error, pipeline), bare)


def _updated(message: Message, result: Result, **changes: object) -> Message:
    return replace(message, value=result.model_copy(update=changes).model_dump_json().encode())


def _dead_letter(message: Message, result: Result, error: RecordTooLargeError, pipeline: str) -> tuple[Message, ...]:
    """Return a dead letter for the window's first cue, or nothing if the window has no cues."""
    cues = result.modalities.subtitles
    if cues.partition is None or cues.offsets is None:
        return ()
    letter = DeadLetter(
        pipeline=pipeline,
        topic=SUBTITLES_TOPIC,
        partition=cues.partition,
        offset=cues.offsets[0],
        arrival_ns=(result.arrival_ms.first or 0) * NS_PER_MS,
        reason=f"the result {result.id} was published without its words: {error}",
        code=DeadReason.TOO_LARGE,
        whole=False,
        key=message.key,
        value=b"",
        headers=(),
    )
    wire = encode_dead(letter)
    return (Message(dead_topic(pipeline), wire.key, wire.value, wire.headers, message.partition),)
