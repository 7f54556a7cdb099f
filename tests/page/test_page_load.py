"""A small run of the benchmark: many feeds, few tiles, and figures of each kind."""

from __future__ import annotations

from playwright.sync_api import Browser

from benchmarks.page_load.load_run import LoadOptions, run_load


def test_many_feeds_are_shown_with_few_tiles(browser: Browser) -> None:
    """Ten seconds with 60 feeds: all that comes is shown, and only what is in sight exists. Speed is not judged."""
    report = run_load(LoadOptions(feeds=60, seconds=6, warm_up_s=2), browser)

    assert report.is_newest_shown
    assert report.tiles_most <= 32
    assert len(report.samples) >= 3
    assert all(sample.heap_bytes > 0 for sample in report.samples)
    assert any(sample.frames_per_s > 0 for sample in report.samples)  # a busy machine may draw none in an interval
    text = "\n".join(report.lines())
    assert "frames a second" in text
    assert "slope of the heap" in text
    assert "event-loop lag of the browser" in text
