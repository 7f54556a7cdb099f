"""Traces of windows through real servers: producer, Kafka, worker, Redis, subscriber."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.e2e.programs import Installation, assert_equal_results
from tests.otlp_json import collector_json
from tests.span_collector import CollectedSpan, SpanCollector, span_collector
from triptych.schemas.names import INPUT_TOPICS, results_topic
from triptych.schemas.results import Result
from triptych.schemas.tracing.trace_context import TraceSampler, traceparent_in

STAGES = ("prepare", "infer", "publish", "store")
CLOCK_NS = 2_000_000
"""The tolerance between two clocks of one machine."""


def by_trace(spans: list[CollectedSpan]) -> dict[str, list[CollectedSpan]]:
    """Return the spans of each trace."""
    traces: dict[str, list[CollectedSpan]] = defaultdict(list)
    for span in spans:
        traces[span.trace_id].append(span)
    return traces


def check_window(result: Result, spans: list[CollectedSpan], senders: dict[tuple[str, str], CollectedSpan]) -> None:
    """Check the tree of a window's trace, its links, and that its stages add up."""
    (root,) = [span for span in spans if not span.parent_id]
    children = sorted((span for span in spans if span.parent_id == root.span_id), key=lambda span: span.start_ns)
    assert (root.name, root.service, root.attributes["triptych.window"]) == ("window", "triptych-worker", result.window)
    names = [span.name for span in children if not span.name.startswith("wait for ")]
    assert names == ["collect", "align", *STAGES]

    # Without a gap: each begins when the one before has ended, and together they take as long as the window.
    assert (children[0].start_ns, children[-1].end_ns) == (root.start_ns, root.end_ns)
    assert [late.start_ns - early.end_ns for early, late in pairwise(children)] == [0] * (len(children) - 1)
    assert sum(span.end_ns - span.start_ns for span in children) == root.end_ns - root.start_ns

    # The times are those that are known otherwise: arrival in Kafka, publication, duration of the stages.
    named = {span.name: span for span in children}
    assert result.arrival_ms.first is not None
    assert result.arrival_ms.last is not None
    assert abs(named["collect"].start_ns - result.arrival_ms.first * 1_000_000) <= CLOCK_NS
    assert abs(named["collect"].end_ns - result.arrival_ms.last * 1_000_000) <= CLOCK_NS
    assert abs(named["publish"].start_ns - result.published_ns) <= CLOCK_NS
    took_ms = (named["prepare"].end_ns - named["prepare"].start_ns) / 1e6
    assert took_ms == pytest.approx(result.stage_ms["prepare"], abs=0.01)
    assert (named["infer"].end_ns - named["infer"].start_ns) / 1e6 >= result.stage_ms["infer"]

    # Each record that the window contains was sent in a span that it links to.
    contained = [report for _, report in result.modalities]
    linked = [senders[link] for link in root.links]
    assert len(linked) == len(set(root.links)) >= sum(report.items for report in contained) > 0
    for sender in linked:
        assert sender.attributes["messaging.kafka.message.key"] == result.stream
        assert sender.start_ns <= sender.end_ns <= named["align"].end_ns + CLOCK_NS

    (subscriber,) = [span for span in spans if span.parent_id == named["publish"].span_id]
    assert (subscriber.service, subscriber.name) == (
        "triptych-watch",
        f"process {root.attributes['triptych.pipeline']}.results",
    )
    assert subscriber.start_ns >= named["publish"].start_ns
    assert len(spans) == len(children) + 2


@pytest.fixture(scope="module")
def traced(
    install: Callable[..., Installation], clip: Callable[[str], str]
) -> tuple[Installation, SpanCollector, list[Result]]:
    """A clip that was played, processed and watched with every window traced, and processed again."""
    with span_collector() as collector:
        here = install(TRIPTYCH_TRACE_ENDPOINT=collector.endpoint, TRIPTYCH_TRACE_SAMPLE_RATIO="1")
        play = ("produce", clip("bbb_5s_51ch.mp4"), "--stream", "door", "--start-at", "2026-01-01T00:00:00Z")
        produced = here.run(*play).succeeded()
        worked = here.run("work", "--until-end", TRIPTYCH_LOG_LEVEL="debug").succeeded()
        results = here.delivered_results("redis")
        again = here.other_pipeline(f"{here.pipeline}-again")
        here.run("work", "--from", "-1h", "--pipeline", again.pipeline).succeeded()
        assert_equal_results(again.in_topic(), results)
        for program in (produced, worked):
            (ended,) = program.events("traces_ended")
            assert ended["exported"] > 0
            assert (ended["dropped"], ended["failed"]) == (0, 0)
        logged = {line["id"]: line["trace_id"] for line in worked.events("window_published")}
        assert logged == {result.id: result.trace_id for result in results}
    return here, collector, results


def test_each_window_has_a_trace_from_the_producer_to_the_subscriber(
    traced: tuple[Installation, SpanCollector, list[Result]],
) -> None:
    """The tree is complete, its stages have no gap and add up to the latency, and its links lead to the records."""
    here, collector, results = traced
    traces = by_trace(collector.spans)
    senders = {
        (span.trace_id, span.span_id): span
        for span in collector.spans
        if span.name in {f"send {t}" for t in INPUT_TOPICS}
    }

    assert len(results) >= 3
    for result in results:
        assert result.trace_id is not None
        own = [
            span
            for span in traces[result.trace_id]
            if span.attributes.get("triptych.pipeline", here.pipeline) == here.pipeline
        ]
        (root,) = [span for span in own if span.name == "window"]
        theirs = {
            span.span_id
            for span in traces[result.trace_id]
            if span.attributes.get("triptych.pipeline", here.pipeline) != here.pipeline
        }
        own = [span for span in own if span.parent_id not in theirs]
        assert root.attributes["messaging.consumer.group.name"] == here.pipeline
        check_window(result, own, senders)


def test_a_window_is_printed_as_a_tree_from_what_a_collector_stored(
    traced: tuple[Installation, SpanCollector, list[Result]], tmp_path: Path
) -> None:
    """Each step once, one after the other, with the records of the window and the subscriber that took its result."""
    here, collector, results = traced
    lines = [json.dumps(collector_json(request)) + "\n" for request in collector.requests]
    (tmp_path / "spans-1.jsonl").write_text("".join(lines[:-2]), encoding="utf-8")
    (tmp_path / "spans.jsonl").write_text("".join(lines[-2:]), encoding="utf-8")
    result = results[1]

    printed = here.run("trace", result.id, "--from", str(tmp_path)).succeeded().out

    ours, theirs = sorted(printed.split("\n\n"), key=lambda text: f"pipeline {here.pipeline}-again" in text)
    assert ours.startswith(f"window {result.window}, revision 0, pipeline {here.pipeline}, trace {result.trace_id}\n")
    assert theirs.startswith(f"window {result.window}, revision 0, pipeline {here.pipeline}-again, ")
    rows = [
        (float(row[1]), float(row[2]), row[3], row[4])
        for line in ours.splitlines()
        if (row := re.match(r" *(-?[\d.]+) +([\d.]+)  ([├└│─ ]*)(.+)", line))
    ]
    steps = [(start, took, name) for start, took, branch, name in rows if branch.strip() in {"├─", "└─"}]
    assert [name for _, _, name in steps if not name.startswith("wait for")] == ["collect", "align", *STAGES]
    for (start, took, _), (next_start, _, _) in pairwise(steps):
        assert start + took == pytest.approx(next_start, abs=0.0021)  # each is rounded to a microsecond
    window_ms = rows[0][1]
    assert rows[0][3] == "window  [triptych-worker]"
    assert sum(took for _, took, _ in steps) == pytest.approx(window_ms, abs=0.02)
    (subscriber,) = [name for _, _, branch, name in rows if branch == "│  └─ "]
    assert subscriber == f"process {results_topic(here.pipeline)}  [triptych-watch]"
    linked = [name for *_, name in rows if name.startswith("linked: ")]
    assert [re.findall(r"\d+ x send (\S+),", name) for name in linked] == [["triptych.audio"], ["triptych.video"]]
    assert "not stored" not in printed


def test_a_replay_has_the_same_trace_ids_and_spans_of_its_own(
    traced: tuple[Installation, SpanCollector, list[Result]],
) -> None:
    """The two pipelines are two trees of one trace."""
    here, collector, results = traced
    for result in results:
        roots = [span for span in collector.spans if span.trace_id == result.trace_id and span.name == "window"]
        pipelines = [str(root.attributes["triptych.pipeline"]) for root in roots]

        assert sorted(pipelines) == sorted([here.pipeline, f"{here.pipeline}-again"])
        assert len({root.span_id for root in roots}) == 2


def test_records_and_results_carry_the_context_of_the_span_that_sent_them(
    traced: tuple[Installation, SpanCollector, list[Result]],
) -> None:
    """Others continue the trace from the header of CloudEvents."""
    here, collector, results = traced
    sent = {(span.trace_id, span.span_id): span for span in collector.spans}

    for topic in (*INPUT_TOPICS, results_topic(here.pipeline)):
        records = here.records(topic)
        assert records or topic == INPUT_TOPICS[2]
        for record in records:
            context = traceparent_in(record.headers)
            assert context is not None
            span = sent[context.trace_id, context.span_id]
            assert span.attributes["messaging.destination.name"] == topic
            if topic in INPUT_TOPICS:
                assert span.attributes["messaging.kafka.offset"] == record.offset
    assert len(here.records(results_topic(here.pipeline))) == len(results)


def test_a_collector_that_is_away_changes_no_result_and_what_is_lost_is_counted(
    install: Callable[..., Installation], clip: Callable[[str], str]
) -> None:
    """Half of the time is sampled, nobody listens, and only sampled windows have trace ids."""
    here = install(TRIPTYCH_TRACE_ENDPOINT="http://127.0.0.1:9/v1/traces", TRIPTYCH_TRACE_SAMPLE_RATIO="0.5")
    here.run(
        "produce", clip("librivox_city_15s.mkv"), "--stream", "s2", "--start-at", "2026-01-01T00:00:00Z"
    ).succeeded()
    done = here.run("work", "--until-end").succeeded()

    results = here.in_topic()
    sampler = TraceSampler(0.5)
    sampled = {result.id for result in results if sampler.samples(result.stream, result.start_ns)}
    assert {result.id for result in results if result.trace_id} == sampled
    assert 0 < len(sampled) < len(results)
    (ended,) = done.events("traces_ended")
    assert ended["exported"] == 0
    assert ended["failed"] >= len(sampled) * 7
    assert len(done.events("spans_lost")) == 1
