"""The names in spans, and the times between stages."""

from __future__ import annotations

import pytest
from opentelemetry.semconv._incubating.attributes import db_attributes, messaging_attributes

from triptych.worker.publishing.window_times import WindowTimes

CONVENTIONS = {
    value
    for module in (db_attributes, messaging_attributes)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str)
}


@pytest.mark.parametrize(
    "path",
    [
        "worker/triptych/worker/observability/traces.py",
        "producers/triptych/producers/sending/record_tracer.py",
        "consumers/triptych/consumers/subscription/result_tracer.py",
    ],
)
def test_attributes_are_those_of_the_semantic_conventions(path: str) -> None:
    """Whatever does not begin with `triptych.` has a name that OpenTelemetry defines."""
    import re
    from pathlib import Path

    text = (Path(__file__).parents[3] / path).read_text(encoding="utf-8")
    used = set(re.findall(r'"((?:messaging|db)\.[a-z_.]+)"', text))

    assert used
    assert used - CONVENTIONS == set()


def test_what_follows_the_close_has_no_gap() -> None:
    """Waits fill what lies between the steps."""
    times = WindowTimes(100, prepare=(110, 120), infer=(120, 130), publish=(150, 160), store=(161, 170))

    assert list(times.intervals()) == [
        ("wait for prepare", 100, 110),
        ("prepare", 110, 120),
        ("infer", 120, 130),
        ("wait for publish", 130, 150),
        ("publish", 150, 160),
        ("wait for store", 160, 161),
        ("store", 161, 170),
    ]


def test_a_step_that_was_not_noted_is_left_out() -> None:
    """The next one waited for longer."""
    times = WindowTimes(100, prepare=(110, 120), publish=(150, 160))

    assert [name for name, _, _ in times.intervals()] == ["wait for prepare", "prepare", "wait for publish", "publish"]
