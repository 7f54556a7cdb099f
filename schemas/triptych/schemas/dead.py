"""A dead letter: a record that could not be used, whole, with its origin and the reason; and what became of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, StringConstraints

from triptych.schemas.reasons import DeadReason
from triptych.schemas.values import Count, Offset, PipelineName, Reason, TopicName, Value


def _known(code: str) -> str:
    return DeadReason(code) if code in set(DeadReason) else code


ReasonCode = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$"), AfterValidator(_known)]
"""A `DeadReason`; text where a newer writer knows one more."""


class _OfALetter(Value):
    """Which dead letter is meant: its pipeline, and where its record lies."""

    pipeline: PipelineName
    topic: TopicName
    partition: Count
    offset: Offset

    @property
    def id(self) -> str:
        """The letter's id: where the record lies, so that a repeat has the same one."""
        return f"{self.topic}/{self.partition}/{self.offset}"


class DeadLetter(_OfALetter):
    """One refused record. `headers` are the record's own, in order; `key` and `value` are its own bytes.

    `whole` is false where the record did not fit: then key and reason are all there is of it.
    """

    arrival_ns: Count
    reason: Reason
    code: ReasonCode | None = None
    whole: bool = True
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


class RedriveMark(_OfALetter):
    """A note on the dead-letter topic of putting a letter's record back: about to be (`begun`), or `done`."""

    state: Literal["begun", "done"]
