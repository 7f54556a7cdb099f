"""Ids of traces, the rule that samples them, and the header that carries them."""

from __future__ import annotations

import pytest

from triptych.schemas.tracing.trace_context import (
    SAMPLED_SPAN_NS,
    TRACEPARENT_HEADER,
    TraceContext,
    TraceSampler,
    publish_context,
    record_context,
    traceparent_in,
    window_trace_id,
)

T0 = 1_767_225_600_000_000_000
WINDOW = f"door/{T0}-{T0 + 2_000_000_000}"


def test_ids_are_the_same_in_every_program_and_version() -> None:
    """Results of earlier versions, and traces of programs of two versions, belong together."""
    assert window_trace_id(WINDOW) == "f80ab344a2bb95768961c9718984ad2c"
    assert record_context("door", "session/video/7") == TraceContext(
        "2d7fef4fd99ae12eb680ed3d0ab98f27", "dbd96bcd71988f3d"
    )
    assert publish_context(window_trace_id(WINDOW), "triptych", f"{WINDOW}/0").span_id == "3dbe4abdbb3c1eb6"


@pytest.mark.parametrize("ratio", [0.01, 0.1, 0.5])
def test_the_share_that_is_sampled_is_the_ratio(ratio: float) -> None:
    """Of many spans of many streams; the deviation is below four standard errors."""
    sampler = TraceSampler(ratio)
    spans = [(f"s{stream}", T0 + span * SAMPLED_SPAN_NS) for stream in range(100) for span in range(200)]

    share = sum(sampler.samples(*each) for each in spans) / len(spans)

    assert share == pytest.approx(ratio, abs=4 * (ratio * (1 - ratio) / len(spans)) ** 0.5)


def test_what_a_lower_ratio_samples_a_higher_one_samples_too() -> None:
    """So programs with different ratios at least share the traces of the lower one."""
    spans = [("door", T0 + span * SAMPLED_SPAN_NS) for span in range(2_000)]
    few = {each for each in spans if TraceSampler(0.05).samples(*each)}
    many = {each for each in spans if TraceSampler(0.2).samples(*each)}

    assert few < many


def test_records_and_windows_of_ten_seconds_are_sampled_together() -> None:
    """The links of a sampled window lead to sampled records."""
    sampler = TraceSampler(0.5)
    for span in range(50):
        begin_ns = T0 + span * SAMPLED_SPAN_NS
        assert len({sampler.samples("door", begin_ns + at_ns) for at_ns in range(0, SAMPLED_SPAN_NS, 10**9)}) == 1


def test_everything_or_nothing() -> None:
    """Both ends of the ratio."""
    assert all(TraceSampler(1.0).samples("door", T0 + span * SAMPLED_SPAN_NS) for span in range(500))
    assert not any(TraceSampler(0.0).samples("door", T0 + span * SAMPLED_SPAN_NS) for span in range(500))
    assert TraceSampler(0.0).trace_id("door", T0, WINDOW) is None
    assert TraceSampler(1.0).trace_id("door", T0, WINDOW) == window_trace_id(WINDOW)


def test_a_context_is_read_from_its_header() -> None:
    """As it was written."""
    context = record_context("door", "x")
    assert traceparent_in([("ce_id", b"x"), (TRACEPARENT_HEADER, context.traceparent)]) == context
    assert traceparent_in([("ce_id", b"x")]) is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"nonsense",
        b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-" + b"0" * 16 + b"-01",
        b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
    ],
)
def test_a_header_that_is_malformed_or_not_sampled_is_no_context(value: bytes | None) -> None:
    """W3C Trace Context: such a header is ignored. A record is not rejected for it."""
    assert traceparent_in([(TRACEPARENT_HEADER, value)]) is None


def test_the_example_of_the_specification_is_read() -> None:
    """https://www.w3.org/TR/trace-context/#examples-of-http-traceparent-headers."""
    header = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert traceparent_in([(TRACEPARENT_HEADER, header)]) == TraceContext(
        "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    )
