"""Spans of a subscriber: what it does with each result of a traced window.

window
└─ ... publish
       └─ process triptych.results     CONSUMER; from the result's arrival at the program until it asks for the next
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from triptych.schemas.names import results_topic
from triptych.schemas.tracing.trace_context import TraceContext, publish_context, span_id
from triptych.service.tracing.spans import FinishedSpan

if TYPE_CHECKING:
    from triptych.schemas.results import Result
    from triptych.settings.trace import TraceSettings


class ResultSpanSink(Protocol):
    """Takes finished spans."""

    def send(self, spans: Sequence[FinishedSpan]) -> None:
        """Queue spans. Never blocks."""


class ResultTracer:
    """Makes the spans of one subscriber, for results of `pipeline` that come from `system` (`redis`, `kafka`)."""

    def __init__(
        self, sink: ResultSpanSink, *, pipeline: str, system: str, wall_ns: Callable[[], int] = time.time_ns
    ) -> None:
        """Send spans to `sink`."""
        self._sink = sink
        self._pipeline = pipeline
        self._system = system
        self._wall_ns = wall_ns
        self._name = uuid4().hex  # several subscribers may read the same result

    def taken(self, result: Result) -> Callable[[], None] | None:
        """Note that the program got a result. Call what is returned, if anything, when it is done with it."""
        if result.trace_id is None:
            return None
        started_ns = self._wall_ns()
        return lambda: self._finish(result, str(result.trace_id), started_ns)

    def _finish(self, result: Result, trace_id: str, started_ns: int) -> None:
        name = f"process {results_topic(self._pipeline)}"
        self._sink.send(
            [
                FinishedSpan(
                    name,
                    TraceContext(trace_id, span_id(trace_id, self._pipeline, result.id, self._name)),
                    publish_context(trace_id, self._pipeline, result.id).span_id,
                    started_ns,
                    self._wall_ns(),
                    role="consumer",
                    attributes={
                        "messaging.system": self._system,
                        "messaging.operation.type": "process",
                        "messaging.operation.name": "process",
                        "messaging.destination.name": results_topic(self._pipeline),
                        "messaging.message.id": result.id,
                        "triptych.delivery_delay_ms": (started_ns - result.published_ns) / 1e6,
                    },
                )
            ]
        )


@contextmanager
def open_result_tracer(
    settings: TraceSettings, service: str, *, pipeline: str, system: str
) -> Iterator[ResultTracer | None]:
    """Open the tracer that the settings ask for; None where nothing is traced. What waits is sent at the end."""
    from triptych.service.tracing.exporter import open_exporter  # noqa: PLC0415 - for programs only: it imports logs

    with open_exporter(settings, service) as exporter:
        yield None if exporter is None else ResultTracer(exporter, pipeline=pipeline, system=system)
