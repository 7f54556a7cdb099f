"""What is left of a message that is over the size limit, so that its place on the topic is taken all the same. Pure."""

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

SHORTENED_TEXT: Final = 500


def without_value(letter: Message) -> Message:
    """Keep a dead letter where the whole of it does not fit: a record at the size limit has no room for a reason."""
    originals = (ORIGINAL_HEADER_PREFIX, ORIGINAL64_HEADER_PREFIX)
    headers = tuple((name, value) for name, value in letter.headers if not name.startswith(originals))
    return replace(letter, value=b"", headers=(*headers, ("ce_originwhole", b"false")))


def smaller_result(message: Message, error: RecordTooLargeError, pipeline: str) -> tuple[Message, ...]:
    """Return what to send instead of a result that is too large; the last message takes its place.

    At first its words are shortened; they lie on their topic whole. If that does not help, everything that grows with
    the window is left out, and a dead letter goes before it that names the window's first cue.

    Raises:
        RecordTooLargeError: nothing is left that could be left out.
    """
    result = Result.model_validate_json(message.value)
    words = result.observations.words
    if any(len(word.text) > SHORTENED_TEXT for word in words):
        short = tuple(word.model_copy(update={"text": word.text[:SHORTENED_TEXT]}) for word in words)
        return (_saying(message, result, observations=result.observations.model_copy(update={"words": short})),)
    if result.observations == Observations() and result.embedding is None and not result.when:
        raise error
    bare = _saying(message, result, observations=Observations(), embedding=None, when=())
    return (*_letter(message, result, error, pipeline), bare)


def _saying(message: Message, result: Result, **changes: object) -> Message:
    return replace(message, value=result.model_copy(update=changes).model_dump_json().encode())


def _letter(message: Message, result: Result, error: RecordTooLargeError, pipeline: str) -> tuple[Message, ...]:
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
