"""Settings of traces."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from triptych.settings.section import Positive, Section


class TraceSettings(Section):
    """Traces of records and windows for OpenTelemetry (docs/tracing.md). They need the extra `trace`."""

    endpoint: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    """URL to which spans are sent by OTLP over HTTP, such as `http://127.0.0.1:4318/v1/traces`. Empty: nothing is
    traced. Further headers, such as those of a login, are taken from `OTEL_EXPORTER_OTLP_HEADERS`."""

    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of the event time of each stream that is traced, in spans of ten seconds that are chosen by stream and
    time. Producers, workers and subscribers need the same value for complete traces, and a replay for equal results."""

    max_queued_spans: Positive = 4_096
    """Maximum number of spans that wait to be sent. Further ones are dropped and counted: no program waits for the
    receiver of its traces."""

    @property
    def effective_ratio(self) -> float:
        """The share that is traced: none without an endpoint."""
        return self.sample_ratio if self.endpoint else 0.0
