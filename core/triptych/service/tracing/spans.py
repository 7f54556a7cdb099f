"""A finished span, as the programs make it: plain values, without OpenTelemetry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from triptych.schemas.tracing.trace_context import TraceContext

SpanRole = Literal["internal", "producer", "consumer", "client"]
"""The kind of a span in OpenTelemetry."""

Attributes = Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class FinishedSpan:
    """A span with its times, in nanoseconds of the wall clock.

    Attributes:
        name: what was done, of a closed set of names: ids are attributes.
        context: its own ids.
        parent_id: the id of its parent in the same trace; None for the root.
        start_ns: when it began.
        end_ns: when it ended.
        role: its kind.
        attributes: by the semantic conventions where these have a name.
        links: spans of other traces that it depends on.
        error: what failed, if anything did.
    """

    name: str
    context: TraceContext
    parent_id: str | None
    start_ns: int
    end_ns: int
    role: SpanRole = "internal"
    attributes: Attributes = field(default_factory=dict)
    links: Sequence[TraceContext] = ()
    error: str | None = None
