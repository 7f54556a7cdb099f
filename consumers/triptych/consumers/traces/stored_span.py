"""Read spans from JSON, as the programs that store traces write it. No I/O.

- OTLP JSON, https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: `resourceSpans`, by the file exporter of
  the OpenTelemetry Collector. Tempo's API answers with the same under `batches`, or under `trace` (v2), with ids in
  base64 instead of hexadecimal (https://github.com/grafana/tempo/issues/5437).
- Jaeger's JSON: `data`, from its API and from "download" in its page. Times are microseconds.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from triptych.schemas.tracing.trace_context import TraceContext

TRACE_ID_DIGITS: Final = 32
_SPAN_ID_DIGITS: Final = 16
_NS_PER_US: Final = 1_000
_ERROR: Final = frozenset({2, "STATUS_CODE_ERROR"})

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """A span as it was stored. Times are nanoseconds of the wall clock; ids are lower-case hexadecimal.

    Attributes:
        context: its own ids.
        parent_id: the id of its parent in the same trace; None for a root.
        name: what was done.
        service: the program that did it.
        start_ns: when it began.
        end_ns: when it ended.
        attributes: values by name, of those that are a text, a number or a truth value.
        links: spans of other traces that it depends on.
        error: what failed; empty text for an error without a message, None if nothing failed.
    """

    context: TraceContext
    parent_id: str | None
    name: str
    service: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, str | int | float | bool]
    links: Sequence[TraceContext]
    error: str | None


def spans_in(document: object) -> Iterator[StoredSpan]:
    """Iterate over the spans of a JSON document. One that holds other things (metrics, logs) has none.

    Raises:
        ValueError: spans are not of the form that the module's docstring names.
    """
    try:
        match document:
            case {"resourceSpans": list(parts)} | {"batches": list(parts)} | {"trace": {"resourceSpans": list(parts)}}:
                for part in parts:
                    yield from _of_otlp(part)
            case {"data": list(traces)}:
                for trace in traces:
                    yield from _of_jaeger(trace)
            case _:
                return
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"a span without what every span has: {error!r}") from error


def _of_otlp(part: Json) -> Iterator[StoredSpan]:
    service = _otlp_attributes(part.get("resource", {})).get("service.name", "")
    for scope in part.get("scopeSpans", ()):
        for span in scope.get("spans", ()):
            status = span.get("status", {})
            yield StoredSpan(
                _context(span["traceId"], span["spanId"]),
                _parent_id(span.get("parentSpanId", "")),
                str(span["name"]),
                str(service),
                int(span["startTimeUnixNano"]),
                int(span["endTimeUnixNano"]),
                _otlp_attributes(span),
                tuple(_context(link["traceId"], link["spanId"]) for link in span.get("links", ())),
                str(status.get("message", "")) if status.get("code") in _ERROR else None,
            )


def _otlp_attributes(holder: Json) -> dict[str, str | int | float | bool]:
    found: dict[str, str | int | float | bool] = {}
    for attribute in holder.get("attributes", ()):
        match attribute["value"]:
            case {"stringValue": value} | {"boolValue": value} | {"doubleValue": value}:
                found[attribute["key"]] = value
            case {"intValue": value}:  # 64 bits, so JSON has it as a text
                found[attribute["key"]] = int(value)
    return found


def _of_jaeger(trace: Json) -> Iterator[StoredSpan]:
    services = {name: str(process["serviceName"]) for name, process in trace["processes"].items()}
    for span in trace["spans"]:
        context = _context(span["traceID"], span["spanID"])
        tags = {tag["key"]: tag["value"] for tag in span.get("tags") or ()}
        references = [_context(one["traceID"], one["spanID"]) for one in span.get("references") or ()]
        own = [one.span_id for one in references if one.trace_id == context.trace_id]
        start_ns = int(span["startTime"]) * _NS_PER_US
        yield StoredSpan(
            context,
            own[0] if own else None,
            str(span["operationName"]),
            services.get(span["processID"], ""),
            start_ns,
            start_ns + int(span["duration"]) * _NS_PER_US,
            {name: value for name, value in tags.items() if isinstance(value, str | int | float | bool)},
            tuple(one for one in references if one.trace_id != context.trace_id),
            str(tags.get("otel.status_description", "")) if tags.get("error") is True else None,
        )


def _context(trace_id: str, span_id: str) -> TraceContext:
    return TraceContext(_hex(trace_id, TRACE_ID_DIGITS), _hex(span_id, _SPAN_ID_DIGITS))


def _parent_id(text: str) -> str | None:
    parent = _hex(text, _SPAN_ID_DIGITS) if text else ""
    return parent if parent.strip("0") else None


def _hex(text: str, digits: int) -> str:
    """Return an id in hexadecimal. In base64, ids of these lengths have other numbers of characters."""
    if re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", text):
        return text.lower()
    found = base64.b64decode(text, validate=True).hex()
    if len(found) != digits:
        raise ValueError(f"expected an id of {digits} hexadecimal digits, got {text!r}")
    return found
