"""What streams need, computed from measured costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scaling.capacity import (
    Capacities,
    MeasuredCosts,
    Resource,
    StreamLoad,
    main,
    order_of_breaking,
    resources,
    tables,
)

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"


def test_the_page_has_the_tables_that_the_function_returns() -> None:
    """A cost that is measured anew changes both."""
    assert tables() in PAGE.read_text(encoding="utf-8")


def test_the_units_follow_from_the_formulas() -> None:
    """By hand: a core at 70 % has 700 ms a second, a window every 2 s takes 7 ms, so 200 streams."""
    needed = {
        each.name: each
        for each in resources(StreamLoad(), MeasuredCosts(worker_ms=7.0), Capacities(broker_disk_bytes=1e12))
    }

    worker = needed["worker processes, `null` (a core each)"]
    assert worker.streams_per_unit == pytest.approx(200)
    assert [worker.units(streams) for streams in (1, 200, 201, 1_000)] == [1, 1, 2, 5]
    assert worker.default_streams == pytest.approx(6 * 200)
    disk = needed["brokers, by disk"]
    assert disk.streams_per_unit == pytest.approx(1e12 / (192_000 * 7 * 86_400 * 3))


def test_the_resource_with_the_fewest_streams_breaks_first() -> None:
    """One that can be added freely breaks never."""
    needed = [Resource("b", 10, 3), Resource("free", 1), Resource("a", 20, 1)]

    assert order_of_breaking(needed) == [("a", 20), ("b", 30)]


def test_other_numbers_of_streams_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """As arguments."""
    main(["500", "20000"])

    assert "| needed | one carries | 500 streams | 20,000 streams |" in capsys.readouterr().out
