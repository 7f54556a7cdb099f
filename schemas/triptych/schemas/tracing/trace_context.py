"""Ids of traces and spans, computed from the ids of records and windows, and the rule that samples them. Pure.

A program that works on the same record or window again computes the same ids, and decides the same. So a replay samples
what the first run sampled, and results are equal. The header is that of CloudEvents' extension for distributed tracing,
https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/distributed-tracing.md, its value a `traceparent`
of W3C Trace Context, https://www.w3.org/TR/trace-context/#traceparent-header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

TRACEPARENT_HEADER: Final = "ce_traceparent"
"""Header of a sampled record or result: the span that sent it."""

SAMPLED_SPAN_NS: Final = 10_000_000_000
"""Event time of a stream that is sampled together: its records, and the windows that begin in it."""

TRACEPARENT_PATTERN: Final = r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
_TRACEPARENT: Final = re.compile(TRACEPARENT_PATTERN.encode())
_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8
_HASH_RANGE: Final = 2**64
_SAMPLED_FLAG: Final = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span of a trace. Both ids are lower-case hexadecimal, of 32 and 16 digits."""

    trace_id: str
    span_id: str

    @property
    def traceparent(self) -> bytes:
        """The header's value, with the flag of a sampled trace."""
        return f"00-{self.trace_id}-{self.span_id}-01".encode()


@dataclass(frozen=True, slots=True)
class TraceSampler:
    """Decides which records and windows are traced. A `ratio` of 0 traces nothing, and 1 everything."""

    ratio: float = 0.0

    def samples(self, stream: str, start_ns: int) -> bool:
        """Return whether what starts at this event time in this stream is traced.

        The records and windows of `SAMPLED_SPAN_NS` are sampled together: the links of a window lead somewhere.
        """
        if self.ratio <= 0:
            return False
        digest = _digest(_SPAN_ID_BYTES, "sample", stream, str(start_ns // SAMPLED_SPAN_NS))
        return int.from_bytes(digest) < self.ratio * _HASH_RANGE

    def trace_id(self, stream: str, start_ns: int, window: str) -> str | None:
        """Return the trace id of a window, or None if it is not traced. `window` is its id, without the revision."""
        return window_trace_id(window) if self.samples(stream, start_ns) else None


UNTRACED: Final = TraceSampler()
"""Samples nothing."""


def window_trace_id(window: str) -> str:
    """Return the trace id of a window: that of all its revisions, in all pipelines."""
    return _digest(_TRACE_ID_BYTES, "window", window).hex()


def record_context(stream: str, record_id: str) -> TraceContext:
    """Return the span in which a producer sends a record. Each record is a trace, to which windows link."""
    trace_id = _digest(_TRACE_ID_BYTES, "record", stream, record_id).hex()
    return TraceContext(trace_id, span_id(trace_id, "send"))


def publish_context(trace_id: str, pipeline: str, result_id: str) -> TraceContext:
    """Return the span in which a pipeline publishes a result: the parent of what its subscribers do."""
    return TraceContext(trace_id, span_id(trace_id, pipeline, result_id, "publish"))


def span_id(trace_id: str, *names: str) -> str:
    """Return the id of a span of a trace."""
    return _digest(_SPAN_ID_BYTES, "span", trace_id, *names).hex()


def traceparent_in(headers: Iterable[tuple[str, bytes | None]]) -> TraceContext | None:
    """Return the sampled span that the headers of a record name, or None.

    A malformed header counts as none, as W3C Trace Context demands: a record is never rejected for its trace.
    """
    value = next((value for name, value in headers if name == TRACEPARENT_HEADER), None)
    if value is None or not _TRACEPARENT.fullmatch(value):
        return None
    version, trace_id, parent, flags = value.decode().split("-")
    is_valid = version != "ff" and trace_id.strip("0") and parent.strip("0")
    return TraceContext(trace_id, parent) if is_valid and int(flags, 16) & _SAMPLED_FLAG else None


def _digest(size: int, *parts: str) -> bytes:
    """Return a hash of texts. The separator occurs in no id."""
    return blake2b("\x00".join(parts).encode(), digest_size=size).digest()
