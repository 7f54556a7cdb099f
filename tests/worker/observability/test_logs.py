"""What the log hook logs, and at which level."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from triptych.schemas.reasons import DeadReason
from triptych.worker.observability import logs as logs_module
from triptych.worker.observability.events import (
    BytesHeld,
    CommitRefused,
    Event,
    HeadAgreement,
    LateItemReceived,
    ModelFailed,
    ModelRefused,
    ModelSwapped,
    ModelUnchanged,
    OffsetsOutOfRange,
    OverloadLevelChanged,
    PartitionRestarted,
    PartitionRestored,
    PartitionsAssigned,
    PartitionsHandedOver,
    PartitionsRevoked,
    PromptAgreement,
    PromptHeadsSummarised,
    RecordDeadLettered,
    RecordDropped,
    RecordsRead,
    ResultsPublished,
    ResultsReplayed,
    RetryScheduled,
    ShadowFailed,
    ShadowInferred,
    ShadowSkipped,
    ShadowSummarised,
    StageCompleted,
    Stopped,
    Stopping,
    StreamForgotten,
    WindowClosed,
)
from triptych.worker.observability.logs import iso_time, log_hook

T0 = 1_767_225_600 * 1_000_000_000


def logged(*events: Event) -> list[dict[str, Any]]:
    """Return what one hook logs for these events."""
    with capture_logs() as logs:
        hook = log_hook()
        for event in events:
            hook(event)
    return [dict(line) for line in logs]


def late(stream: str = "city", session: str = "s2", start_ns: int = T0) -> LateItemReceived:
    """Return a late frame of a stream whose next window begins 4 s later."""
    return LateItemReceived(
        stream=stream, modality="video", session=session, start_ns=start_ns, next_window_start_ns=T0 + 4_000_000_000
    )


def test_late_items_of_a_session_are_one_line_that_says_what_to_do() -> None:
    """The line names the first item and the start of the next window."""
    (line,) = logged(*(late(start_ns=T0 + at) for at in range(100)))
    assert line["event"] == "items_late"
    assert line["log_level"] == "warning"
    assert (line["stream"], line["session"]) == ("city", "s2")
    assert line["first_start"] == "2026-01-01T00:00:00Z"
    assert line["next_window_start"] == "2026-01-01T00:00:04Z"
    assert "watermark" in line["hint"]
    assert "--start-at" in line["hint"]
    assert "new stream id" in line["hint"]


def test_late_redriven_items_are_logged_separately_and_not_as_a_warning() -> None:
    """Somebody put them back on purpose. Once per session."""
    redriven = replace(late(), redriven=True)
    (line, warning) = logged(redriven, redriven, late())
    assert (line["event"], line["log_level"], line["stream"]) == ("redriven_items_late", "info", "city")
    assert "run a new pipeline" in line["hint"]
    assert warning["event"] == "items_late"


def test_late_items_that_revise_a_window_are_not_a_warning() -> None:
    """Nothing is lost. Items that are too late for a revision are a warning."""
    (line, warning) = logged(replace(late(), revises=True), replace(late(), revises=True, redriven=True), late())
    assert (line["event"], line["log_level"], line["stream"]) == ("late_items_revise", "info", "city")
    assert line["next_window_start"] == "2026-01-01T00:00:04Z"
    assert warning["event"] == "items_late"


def test_late_items_are_logged_for_each_session_and_stream() -> None:
    """Each session is a separate problem."""
    lines = logged(late(), late(session="s3"), late(stream="harbour"), late(), late(session="s3"))
    assert [(line["stream"], line["session"]) for line in lines] == [("city", "s2"), ("city", "s3"), ("harbour", "s2")]


def test_the_memory_of_logged_sessions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least recently used session is forgotten first."""
    monkeypatch.setattr(logs_module, "_REMEMBERED_SESSIONS", 2)
    lines = logged(late(session="a"), late(session="b"), late(session="a"), late(session="c"), late(session="a"))
    assert [line["session"] for line in lines] == ["a", "b", "c"]
    assert [line["session"] for line in logged(*(late(session=name) for name in "abca"))] == ["a", "b", "c", "a"]


def test_two_live_sessions_on_one_stream_are_logged_once() -> None:
    """Every record of the superseded session is dropped. Repeats of a producer are normal."""
    left = RecordDropped(stream="city", modality="audio", session="s1", reason="left_session")
    repeat = RecordDropped(stream="city", modality="audio", session="s1", reason="repeat")
    (line,) = logged(repeat, left, left, repeat)
    assert "two live sessions on one stream" in line["hint"]
    assert line["session"] == "s1"


@pytest.mark.parametrize(
    ("event", "name", "level"),
    [
        (WindowClosed("city", T0, T0 + 1, "progress", 0, 0), "window_closed", "debug"),
        (ResultsPublished(results=3, new=3), "results_published", "debug"),
        (
            RecordDeadLettered("triptych.video", 1, 7, "video", "no picture", DeadReason.BROKEN_MEDIA),
            "record_dead_lettered",
            "warning",
        ),
        (OffsetsOutOfRange("triptych.video", 1, wanted=7, resumed=70), "offsets_out_of_range", "error"),
        (ModelFailed("city", T0, T0 + 1, "RuntimeError('x')"), "model_failed", "error"),
        (ModelSwapped("model", "moods", "2", "b" * 64, "a" * 64, 12.34), "model_swapped", "info"),
        (ModelUnchanged("model", "moods", "2", "b" * 64), "model_unchanged", "info"),
        (ModelRefused("shadow", "moods.json", "damaged"), "model_refused", "error"),
        (ShadowFailed(3, "RuntimeError('x')", given_up=True), "shadow_given_up", "error"),
        (
            ShadowSummarised("a", "b", (HeadAgreement("mood", 9, 2, 0.1),), 3, 0, (("city", T0),)),
            "shadow_compared",
            "info",
        ),
        (RetryScheduled("redis", "refused", 2, 0.5), "retry_scheduled", "warning"),
        (CommitRefused("rebalance"), "commit_refused", "warning"),
        (OverloadLevelChanged(level=1, frames=2, asks_model=True), "overload", "warning"),
        (OverloadLevelChanged(level=0, frames=4, asks_model=True), "overload_over", "info"),
        (PartitionRestarted(3), "partition_restarted", "warning"),
        (PartitionsAssigned((0, 1)), "partitions_assigned", "info"),
        (PartitionsHandedOver((0, 1), left=0, took_ms=1.23), "partitions_handed_over", "info"),
        (PartitionsRevoked((0, 1), lost=False), "partitions_revoked", "info"),
        (PartitionsRevoked((0, 1), lost=True), "partitions_lost", "warning"),
        (PartitionRestored(0, streams=1, results=5), "restored", "info"),
        (ResultsReplayed(results=5, new=1), "missing_results_stored", "info"),
        (StreamForgotten("city"), "stream_forgotten", "info"),
        (Stopping("signal"), "stopping", "info"),
        (Stopped(("city",)), "stopped", "info"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_an_event_is_logged_at_its_level(event: Event, name: str, level: str) -> None:
    """Windows at debug, problems from warning on."""
    (line,) = logged(event)
    assert (line["event"], line["log_level"]) == (name, level)


def test_frequent_events_are_not_logged() -> None:
    """The metrics count them."""
    assert (
        logged(RecordsRead("video", 10, 1_000), StageCompleted("infer", 3.0), BytesHeld(5, 1), ResultsReplayed(5, 0))
        == []
    )
    assert logged(ShadowInferred(8, 1, (0.1,) * 8), ShadowSkipped(8), ShadowFailed(8, "x", given_up=False)) == []


def test_a_shadow_summary_is_one_line_with_numbers_for_each_head() -> None:
    """It names some of the windows that differ."""
    summary = ShadowSummarised("a", "b", (HeadAgreement("mood", 9, 2, 0.123456),), 3, 1, (("city", T0),))
    (line,) = logged(summary)
    assert line["heads"] == {"mood": {"windows": 9, "differed": 2, "mean_distance": 0.1235}}
    assert (line["skipped"], line["failed"], line["differing"]) == (3, 1, ["city 2026-01-01T00:00:00Z"])


def test_a_comparison_of_prompt_heads_is_one_line_with_numbers_for_each_prompt() -> None:
    """By version, because a prompt may change meanwhile."""
    agreements = (PromptAgreement("fire", "0e2f", 9, 2, 0.123456), PromptAgreement("fire", "1a2b", 3, 0, 0.0))
    (line,) = logged(PromptHeadsSummarised("5b1e", agreements, (("fire", "city", T0),)))
    assert (line["event"], line["shadow"]) == ("prompt_heads_compared", "5b1e")
    assert line["prompts"]["fire/0e2f"] == {"windows": 9, "differed": 2, "mean_distance": 0.1235}
    assert line["prompts"]["fire/1a2b"]["windows"] == 3
    assert line["differing"] == ["fire city 2026-01-01T00:00:00Z"]


def test_event_time_is_formatted_to_the_nanosecond() -> None:
    """Without trailing zeros."""
    assert iso_time(T0) == "2026-01-01T00:00:00Z"
    assert iso_time(T0 + 1) == "2026-01-01T00:00:00.000000001Z"
    assert iso_time(T0 + 500_000_000) == "2026-01-01T00:00:00.5Z"
