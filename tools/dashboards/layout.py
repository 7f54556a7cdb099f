"""Which metrics stand on which dashboard, in which order. What no row names stands in the last one, "Other"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tools.dashboards.exported_metrics import ExportedMetric, exported_by


@dataclass(frozen=True, slots=True)
class Number:
    """A number at the top of a dashboard. It turns to `worse` from `limit` on."""

    title: str
    expression: str
    unit: str = "short"
    limit: float | None = None
    worse: str = "red"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of panels, one for each metric."""

    title: str
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard of one program.

    `variable` is the label that the viewer selects values of, and `variable_of` a series that has it.
    """

    uid: str
    title: str
    program: str
    variable: str
    variable_of: str
    numbers: tuple[Number, ...]
    rows: tuple[Row, ...] = field(default=())

    @property
    def selector(self) -> str:
        """The selector of the chosen series."""
        return f'{self.variable}=~"${self.variable}"'

    def all_rows(self) -> list[tuple[str, Sequence[ExportedMetric]]]:
        """Return the rows with their metrics, and a last one for metrics that none of them names.

        Raises:
            KeyError: a row names a metric that the program does not export.
        """
        exported = exported_by(self.program)
        named = [(row.title, [exported[name] for name in row.metrics]) for row in self.rows]
        used = {name for row in self.rows for name in row.metrics}
        other = [metric for name, metric in exported.items() if name not in used]
        return [*named, *([("Other", other)] if other else [])]


_WORKER: Final = Dashboard(
    uid="triptych-workers",
    title="Triptych: workers",
    program="worker",
    variable="instance",
    variable_of="triptych_lag_seconds",
    numbers=(
        Number("Results a second", 'sum(rate(triptych_results_total{instance=~"$instance"}[$__rate_interval]))', "ops"),
        Number("Lag", 'max(triptych_lag_seconds{instance=~"$instance"})', "s", 60),
        Number("Streams", 'sum(triptych_streams{instance=~"$instance"})'),
        Number(
            "Late records",
            'sum(rate(triptych_late_total{instance=~"$instance"}[$__rate_interval]))'
            ' / sum(rate(triptych_records_total{instance=~"$instance"}[$__rate_interval]))',
            "percentunit",
            0.01,
        ),
        Number("Dead letters in an hour", 'sum(increase(triptych_dead_total{instance=~"$instance"}[1h]))', "short", 1),
        Number("Overload level", 'max(triptych_overload_rung{instance=~"$instance"})', "short", 1, "orange"),
        Number("Retries in 5 minutes", 'sum(increase(triptych_retries_total{instance=~"$instance"}[5m]))', "short", 5),
        Number("Workers", 'count(triptych_lag_seconds{instance=~"$instance"})'),
    ),
    rows=(
        Row("Flow", ("triptych_records", "triptych_record_bytes", "triptych_windows", "triptych_results")),
        Row("Delay", ("triptych_lag_seconds", "triptych_stage_seconds", "triptych_batch_windows")),
        Row("Losses", ("triptych_late", "triptych_dead", "triptych_repeats", "triptych_left_session")),
        Row(
            "Overload",
            (
                "triptych_overload_rung",
                "triptych_shed",
                "triptych_shed_pictures",
                "triptych_windows_unasked",
                "triptych_held_bytes",
            ),
        ),
        Row(
            "Servers",
            (
                "triptych_retries",
                "triptych_partitions",
                "triptych_hand_over_seconds",
                "triptych_work_begun_again",
                "triptych_commits_refused",
                "triptych_unreadable_batches",
                "triptych_offsets_gone",
            ),
        ),
        Row(
            "Models",
            (
                "triptych_model_failures",
                "triptych_model_swaps",
                "triptych_model_refusals",
                "triptych_shadow_windows",
                "triptych_shadow_differed",
                "triptych_shadow_distance",
            ),
        ),
        Row(
            "Media",
            ("triptych_quality_flags", "triptych_detections", "triptych_av_offset_seconds", "triptych_drift_ppm"),
        ),
    ),
)

_FEEDS: Final = Dashboard(
    uid="triptych-feeds",
    title="Triptych: feeds",
    program="producer",
    variable="stream",
    variable_of="triptych_feed_sent_total",
    numbers=(
        Number("Playing", 'sum(triptych_feed_state{triptych_feed_state="playing", stream=~"$stream"})'),
        Number("Waiting", 'sum(triptych_feed_state{triptych_feed_state="waiting", stream=~"$stream"})', "short", 1),
        Number("Failed", 'sum(triptych_feed_state{triptych_feed_state="failed", stream=~"$stream"})', "short", 1),
        Number("Largest lag", 'max(triptych_feed_lag_seconds{stream=~"$stream"})', "s", 10),
        Number(
            "Records dropped in an hour",
            'sum(increase(triptych_feed_dropped_total{stream=~"$stream"}[1h]))',
            "short",
            1,
        ),
        Number("Bytes kept", 'sum(triptych_feed_queued_bytes{stream=~"$stream"})', "bytes"),
    ),
    rows=(
        Row("Flow", ("triptych_feed_state", "triptych_feed_sent", "triptych_feed_lag_seconds")),
        Row("Connection", ("triptych_feed_reconnects", "triptych_feed_gaps", "triptych_feed_gap_seconds")),
        Row(
            "Losses",
            (
                "triptych_feed_dropped",
                "triptych_feed_dropped_records",
                "triptych_feed_track_gaps",
                "triptych_feed_late",
            ),
        ),
    ),
)

_DESCRIPTIONS: Final = Dashboard(
    uid="triptych-descriptions",
    title="Triptych: descriptions",
    program="describe",
    variable="instance",
    variable_of="triptych_describe_waiting",
    numbers=(
        Number("Tokens today", 'max(triptych_describe_tokens_today{instance=~"$instance"})'),
        Number("US dollars today", 'max(triptych_describe_usd_today{instance=~"$instance"})', "currencyUSD"),
        Number("Results that wait", 'sum(triptych_describe_waiting{instance=~"$instance"})'),
    ),
    rows=(
        Row("Flow", ("triptych_describe_results", "triptych_descriptions", "triptych_describe_skipped")),
        Row(
            "Endpoint",
            ("triptych_describe_requests", "triptych_describe_request_seconds", "triptych_describe_in_flight"),
        ),
    ),
)

_PAGE: Final = Dashboard(
    uid="triptych-page",
    title="Triptych: page",
    program="page",
    variable="instance",
    variable_of="triptych_page_clients",
    numbers=(
        Number("Clients", 'sum(triptych_page_clients{instance=~"$instance"})'),
        Number("Feeds", 'max(triptych_page_feeds{instance=~"$instance"})'),
        Number("Event loop late", 'max(triptych_page_loop_lag_seconds{instance=~"$instance"})', "s", 0.5, "orange"),
        Number(
            "Server errors in 5 minutes",
            'sum(increase(triptych_page_requests_total{instance=~"$instance", status="5xx"}[5m]))',
            "short",
            1,
        ),
        Number(
            "Results missed in an hour",
            'sum(increase(triptych_page_missed_total{instance=~"$instance"}[1h]))',
            "short",
            1,
        ),
    ),
    rows=(
        Row("Clients", ("triptych_page_clients", "triptych_page_requests", "triptych_page_loop_lag_seconds")),
        Row("Reading", ("triptych_page_results", "triptych_page_malformed", "triptych_page_missed")),
        Row("Changes", ("triptych_page_coalesced", "triptych_page_reviews")),
        Row("Memory", ("triptych_page_feeds", "triptych_page_feeds_forgotten", "triptych_page_windows")),
        Row(
            "Evidence",
            ("triptych_page_evidence_bytes", "triptych_page_evidence_hits", "triptych_page_evidence_misses"),
        ),
    ),
)

DASHBOARDS: Final = (_WORKER, _FEEDS, _DESCRIPTIONS, _PAGE)
