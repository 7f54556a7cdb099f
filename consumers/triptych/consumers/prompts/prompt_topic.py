"""Read and write the compacted topics of a pipeline: its prompts, and the feedback on their matches."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import structlog

from triptych.consumers.subscription.log_reading import read_since
from triptych.schemas.envelope import Wire
from triptych.schemas.errors import MalformedRecordError, UsageError
from triptych.schemas.names import feedback_topic, prompts_topic
from triptych.schemas.perception.prompt_codec import (
    decode_feedback,
    decode_prompt_change,
    encode_feedback,
    encode_prompt_change,
)
from triptych.schemas.perception.prompts import MOST_PROMPTS, Feedback, Prompt, PromptChange
from triptych.transport.errors import TopicMissingError
from triptych.transport.protocols import Transport
from triptych.transport.records import Message, Record, TopicPartition

log = structlog.get_logger(__name__)

_SEND_LIMIT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class PromptInUse:
    """A prompt, and when the broker appended it."""

    prompt: Prompt
    set_ns: int


class PromptTopic:
    """The prompts of a pipeline as they are now, and the way to change them."""

    def __init__(self, transport: Transport, pipeline: str) -> None:
        """Read nothing yet. The caller closes `transport`."""
        self._transport = transport
        self._pipeline = pipeline
        self._topic = prompts_topic(pipeline)

    def read(self) -> dict[str, PromptInUse]:
        """Return the present prompts by name, in alphabetical order. Blocks. A record that is none is logged.

        Raises:
            TopicMissingError: the topic does not exist.
        """
        prompts: dict[str, PromptInUse] = {}
        for record in _records_of(self._transport, self._topic, self._pipeline):
            try:
                change = decode_prompt_change(record.value, record.headers)
            except MalformedRecordError as error:
                log.warning("prompt_unreadable", topic=record.topic, offset=record.offset, reason=str(error))
                continue
            if change.prompt is None:
                prompts.pop(change.name, None)
            elif change.name in prompts or len(prompts) < MOST_PROMPTS:
                prompts[change.name] = PromptInUse(change.prompt, record.arrival_ns)
        return dict(sorted(prompts.items()))

    def set(self, prompt: Prompt) -> None:
        """Set a prompt, new or changed. Blocks until the broker has it.

        Raises:
            UsageError: there are as many prompts as a pipeline may have.
        """
        known = self.read()
        if prompt.name not in known and len(known) >= MOST_PROMPTS:
            raise UsageError(f"{prompt.name}: expected at most {MOST_PROMPTS} prompts; remove one first")
        self._send(PromptChange(id=uuid.uuid4().hex, name=prompt.name, prompt=prompt))

    def remove(self, name: str) -> None:
        """Remove a prompt. Blocks until the broker has it. Raises `UsageError` if there is none of this name."""
        known = self.read()
        if name not in known:
            raise UsageError(f"no prompt is called {name!r}; there are: {', '.join(known) or 'none'}")
        self._send(PromptChange(id=uuid.uuid4().hex, name=name))

    def _send(self, change: PromptChange) -> None:
        wire = encode_prompt_change(change, pipeline=self._pipeline, moment_ns=time.time_ns())
        _send_to(self._transport, self._topic, wire)


def send_feedback(transport: Transport, pipeline: str, feedback: Feedback) -> None:
    """Store an answer. Blocks until the broker has it. Raises `TopicMissingError` if the topic does not exist."""
    topic = feedback_topic(pipeline)
    _require(transport, topic, pipeline)
    _send_to(transport, topic, encode_feedback(feedback, pipeline=pipeline))


def read_feedback(transport: Transport, pipeline: str) -> list[Feedback]:
    """Return the last answer for each result and prompt, in the order of their first answers. Blocks.

    Raises:
        TopicMissingError: the topic does not exist.
    """
    answers: dict[str, Feedback] = {}
    for record in _records_of(transport, feedback_topic(pipeline), pipeline):
        try:
            feedback = decode_feedback(record.value, record.headers)
        except MalformedRecordError as error:
            log.warning("feedback_unreadable", topic=record.topic, offset=record.offset, reason=str(error))
        else:
            answers[feedback.key] = feedback
    return list(answers.values())


def _records_of(transport: Transport, topic: str, pipeline: str) -> Iterator[Record]:
    _require(transport, topic, pipeline)
    return read_since(transport, {TopicPartition(topic, 0): 0})


def _require(transport: Transport, topic: str, pipeline: str) -> None:
    with closing(transport.admin()) as admin:
        if not admin.partition_count(topic):
            raise TopicMissingError(
                f"topic {topic}: expected it on the broker, found no such topic; "
                f"`triptych topics create --pipeline {pipeline}` creates it"
            )


def _send_to(transport: Transport, topic: str, wire: Wire) -> None:
    publisher = transport.publisher()
    try:
        publisher.send(Message(topic, wire.key, wire.value, wire.headers, 0)).result(timeout=_SEND_LIMIT_S)
    finally:
        publisher.close(_SEND_LIMIT_S)
