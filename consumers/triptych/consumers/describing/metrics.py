"""The metrics of `triptych describe`. Label values come from closed sets: the number of series is bounded."""

from __future__ import annotations

from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from triptych.consumers.describing.chat.endpoint import ChatReply, ReplyKind
from triptych.consumers.describing.gate import SkipReason
from triptych.schemas.perception.descriptions import Description, DescriptionOutcome

_SECONDS_BUCKETS: Final = (0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)


class DescribeMetrics:
    """Counts in a registry of its own. Each series starts at zero. Any thread may use it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._results = Counter("triptych_describe_results", "Results read.", registry=self.registry)
        self._malformed = Counter(
            "triptych_describe_malformed", "Records of the results topic that are no results.", registry=self.registry
        )
        self._descriptions = Counter(
            "triptych_descriptions", "Descriptions published, by outcome.", ["outcome"], registry=self.registry
        )
        self._skipped = Counter(
            "triptych_describe_skipped",
            "Results that were not described, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self._tokens = Counter(
            "triptych_describe_tokens", "Tokens of published descriptions.", ["kind"], registry=self.registry
        )
        self._usd = Counter(
            "triptych_describe_usd", "Cost of published descriptions in US dollars.", registry=self.registry
        )
        self._requests = Counter(
            "triptych_describe_requests", "Requests to the endpoint, by reply.", ["reply"], registry=self.registry
        )
        self._seconds = Histogram(
            "triptych_describe_request_seconds", "Time of a request.", buckets=_SECONDS_BUCKETS, registry=self.registry
        )
        self.in_flight = Gauge(
            "triptych_describe_in_flight", "Windows that a model is asked about.", registry=self.registry
        )
        self.waiting = Gauge("triptych_describe_waiting", "Results that were read and wait.", registry=self.registry)
        self.tokens_today = Gauge(
            "triptych_describe_tokens_today", "Tokens spent today (UTC) by the pipeline.", registry=self.registry
        )
        self.usd_today = Gauge(
            "triptych_describe_usd_today", "US dollars spent today (UTC) by the pipeline.", registry=self.registry
        )
        for reason in SkipReason:
            self._skipped.labels(reason)
        for outcome in get_args(DescriptionOutcome):
            self._descriptions.labels(outcome)
        for reply in ReplyKind:
            self._requests.labels(reply)
        for kind in ("input", "output"):
            self._tokens.labels(kind)

    def count_result(self) -> None:
        """Count a result that was read."""
        self._results.inc()

    def count_malformed(self) -> None:
        """Count a record that is no result."""
        self._malformed.inc()

    def count_skipped(self, reason: SkipReason) -> None:
        """Count a result that is not described."""
        self._skipped.labels(reason).inc()

    def count_reply(self, reply: ChatReply, seconds: float) -> None:
        """Count a request and its time."""
        self._requests.labels(reply.kind).inc()
        self._seconds.observe(seconds)

    def count_description(self, description: Description) -> None:
        """Count a published description."""
        self._descriptions.labels(description.outcome).inc()
        self._tokens.labels("input").inc(description.cost.input_tokens)
        self._tokens.labels("output").inc(description.cost.output_tokens)
        self._usd.inc(description.cost.usd)
