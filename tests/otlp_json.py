"""Requests of OTLP as the JSON in which programs store traces. The messages are those that our exporter sends."""

from __future__ import annotations

import base64
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


def tempo_json(request: bytes) -> dict[str, Any]:
    """Return a request as Tempo's API returns a trace: protobuf's JSON, with ids in base64, and `batches`."""
    return {"batches": MessageToDict(ExportTraceServiceRequest.FromString(request))["resourceSpans"]}


def collector_json(request: bytes) -> dict[str, Any]:
    """Return a request as the file exporter of a collector writes it: with ids in hexadecimal and enums as numbers."""
    message = ExportTraceServiceRequest.FromString(request)
    found: dict[str, Any] = _with_hex_ids(MessageToDict(message, use_integers_for_enums=True))
    return found


def jaeger_json(*requests: bytes) -> dict[str, Any]:
    """Return requests as Jaeger's API returns traces: times in microseconds, parents and links as references."""
    traces: dict[str, dict[str, Any]] = {}
    for request in requests:
        for part in ExportTraceServiceRequest.FromString(request).resource_spans:
            service = next(each.value.string_value for each in part.resource.attributes if each.key == "service.name")
            for span in (span for scope in part.scope_spans for span in scope.spans):
                trace_id = span.trace_id.hex()
                trace = traces.setdefault(trace_id, {"traceID": trace_id, "spans": [], "processes": {}})
                trace["processes"][service] = {"serviceName": service, "tags": []}
                parents = [(trace_id, span.parent_span_id.hex())] if span.parent_span_id else []
                followed = [(link.trace_id.hex(), link.span_id.hex()) for link in span.links]
                trace["spans"].append({
                    "traceID": trace_id,
                    "spanID": span.span_id.hex(),
                    "operationName": span.name,
                    "references": [
                        {"refType": kind, "traceID": other, "spanID": one}
                        for kind, references in (("CHILD_OF", parents), ("FOLLOWS_FROM", followed))
                        for other, one in references
                    ],
                    "startTime": span.start_time_unix_nano // 1_000,
                    "duration": (span.end_time_unix_nano - span.start_time_unix_nano) // 1_000,
                    "tags": [_jaeger_tag(each.key, each.value) for each in span.attributes]
                    + ([{"key": "error", "type": "bool", "value": True}] if span.status.code == 2 else []),
                    "logs": [],
                    "processID": service,
                    "warnings": None,
                })  # fmt: skip
    return {"data": list(traces.values()), "total": 0, "limit": 0, "offset": 0, "errors": None}


def _jaeger_tag(key: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - a message of protobuf
    kinds = {"string_value": "string", "int_value": "int64", "double_value": "float64", "bool_value": "bool"}
    name = value.WhichOneof("value")
    return {"key": key, "type": kinds[name], "value": getattr(value, name)}


def _with_hex_ids(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        return [_with_hex_ids(each) for each in value]
    if isinstance(value, dict):
        return {
            name: base64.b64decode(each).hex() if name in _IDS else _with_hex_ids(each) for name, each in value.items()
        }
    return value
