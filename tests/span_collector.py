"""A receiver of OTLP over HTTP for tests: it keeps the spans that programs export."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from gzip import decompress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class CollectedSpan:
    """A span as it came over the wire."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    links: tuple[tuple[str, str], ...]


class SpanCollector:
    """Listens on a free port. `status` is what it answers."""

    def __init__(self) -> None:
        self.status = 200
        self.spans: list[CollectedSpan] = []
        self.requests: list[bytes] = []
        self._lock = threading.Lock()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = decompress(body)
                collector.receive(body)
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def endpoint(self) -> str:
        """The URL for `trace.endpoint`."""
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1/traces"

    def receive(self, body: bytes) -> None:
        """Keep the spans of a request, unless it is refused."""
        request = ExportTraceServiceRequest.FromString(body)
        if self.status != 200:
            return
        found = [
            CollectedSpan(
                next(each.value.string_value for each in one.resource.attributes if each.key == "service.name"),
                span.name,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                span.kind,
                span.start_time_unix_nano,
                span.end_time_unix_nano,
                {each.key: _value(each.value) for each in span.attributes},
                tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
            )
            for one in request.resource_spans
            for scope in one.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            self.spans += found
            self.requests.append(body)


def _value(value: Any) -> Any:  # noqa: ANN401 - a message of protobuf
    return getattr(value, value.WhichOneof("value"))


@contextmanager
def span_collector() -> Iterator[SpanCollector]:
    """Run a collector during the block."""
    collector = SpanCollector()
    thread = threading.Thread(target=collector.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        collector.server.server_close()
        thread.join()
