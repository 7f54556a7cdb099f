"""A dead letter: a record that could not be used, whole, with its origin and the reason."""

from __future__ import annotations

from triptych.schemas.values import Count, Offset, PipelineName, Reason, TopicName, Value


class DeadLetter(Value):
    """One refused record. `headers` are the record's own, in order; `key` and `value` are its own bytes."""

    pipeline: PipelineName
    topic: TopicName
    partition: Count
    offset: Offset
    arrival_ns: Count
    reason: Reason
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]

    @property
    def id(self) -> str:
        """The letter's id: where the record lies, so that a repeat has the same one."""
        return f"{self.topic}/{self.partition}/{self.offset}"
