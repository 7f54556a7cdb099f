"""A dead letter holds a record that could not be processed, its origin and the reason. A mark records its redrive."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, StringConstraints

from triptych.schemas.reasons import DeadReason
from triptych.schemas.values import Count, Offset, PipelineName, Reason, TopicName, Value


def _known(code: str) -> str:
    return DeadReason(code) if code in set(DeadReason) else code


ReasonCode = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$"), AfterValidator(_known)]
"""A `DeadReason`, or text if a newer writer uses another one."""


class _LetterReference(Value):
    """The identity of a dead letter: its pipeline and the position of its record.

    On the wire: `ce_pipeline`, `ce_origintopic`, `ce_originpartition` and `ce_originoffset`.
    """

    pipeline: PipelineName
    topic: TopicName
    partition: Count
    offset: Offset

    @property
    def id(self) -> str:
        """The letter's id: the position of the record. A duplicate letter has the same id."""
        return f"{self.topic}/{self.partition}/{self.offset}"


class DeadLetter(_LetterReference):
    """One dead-lettered record. `key`, `value` and `headers` (in order) are those of the record, byte for byte.

    `arrival_ns` is its append time (`ce_originarrivalns`), `reason` one line of text (`ce_reason`), `code` the same as
    one of a closed set (`ce_reasoncode`). `whole` (`ce_originwhole`) is false if the record was too large for the
    letter: then only key and reason are kept.
    """

    arrival_ns: Count
    reason: Reason
    code: ReasonCode | None = None
    whole: bool = True
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


class RedriveMark(_LetterReference):
    """A mark on the dead-letter topic: the letter's record is about to be redriven (`begun`), or was (`done`).

    `state` is `ce_state`.
    """

    state: Literal["begun", "done"]
