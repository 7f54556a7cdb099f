"""Run the page with many feeds in a real browser, and measure whether it stays smooth and small."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from benchmarks.page_load.clip_pictures import CLIPS, clip_media
from benchmarks.page_load.synthetic_feeds import PIPELINE, WINDOW_NS, FeedPublisher, SyntheticFeed
from triptych.consumers.doctor.look import Surveyor
from triptych.consumers.page.access_rules import access_rules
from triptych.consumers.page.options import AccessOptions, ListenOptions, MemoryOptions
from triptych.consumers.page.program import PageServer, PageSetup
from triptych.transport.memory.transport import MemoryTransport
from triptych.units import NS_PER_S

CHROMIUM: Final = "/usr/bin/chromium"
_MEASURE_S: Final = 5.0
_FEWEST_SAMPLES: Final = 3
_SHOWN_WITHIN_S: Final = 60.0
_PICTURE_WIDTH: Final = 240
_MAX_BYTES: Final = 4 << 30
_MB: Final = 1_000_000

_METER: Final = """
window.meter = { frames: 0, worstFrameMs: 0, lags: [] };
let last = performance.now();
const frame = (now) => {
  window.meter.frames += 1;
  window.meter.worstFrameMs = Math.max(window.meter.worstFrameMs, now - last);
  last = now;
  requestAnimationFrame(frame);
};
requestAnimationFrame(frame);
let due = performance.now() + 100;
setInterval(() => {
  const now = performance.now();
  window.meter.lags.push(Math.max(0, now - due));
  due = now + 100;
}, 100);
"""
"""Counts frames, and how late a timer of 100 ms comes: the lag of the browser's event loop."""

_TAKE: Final = """() => {
  const { frames, worstFrameMs, lags } = window.meter;
  window.meter = { frames: 0, worstFrameMs: 0, lags: [] };
  return { frames, worstFrameMs, lags, tiles: document.querySelectorAll('.tile').length };
}"""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How much is shown for how long."""

    feeds: int = 200
    seconds: float = 600.0
    warm_up_s: float = 30.0


@dataclass(frozen=True, slots=True)
class LoadSample:
    """What was measured in one interval.

    `heap_bytes` is the browser's heap after a garbage collection, `elements` the number of nodes of the document.
    """

    at_s: float
    frames_per_s: float
    worst_frame_ms: float
    lags_ms: tuple[float, ...]
    heap_bytes: float
    elements: int
    tiles: int
    server_lag_ms: float


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a run showed. `windows` is how many windows of all feeds were published."""

    options: LoadOptions
    samples: tuple[LoadSample, ...]
    windows: int
    tiles_most: int
    is_newest_shown: bool

    @property
    def heap_slope_mb_per_h(self) -> float:
        """How fast the heap grows, by least squares, in MB an hour."""
        slope = statistics.linear_regression(
            [sample.at_s for sample in self.samples], [sample.heap_bytes for sample in self.samples]
        ).slope
        return slope * 3_600 / _MB

    def lines(self) -> Iterator[str]:
        """Return the figures, one a line."""
        samples = self.samples
        rates = [sample.frames_per_s for sample in samples]
        lags = sorted(lag for sample in samples for lag in sample.lags_ms)
        yield f"feeds {self.options.feeds}, measured for {samples[-1].at_s:.0f} s in {len(samples)} intervals"
        yield f"windows published {self.windows}, newest shown: {'yes' if self.is_newest_shown else 'NO'}"
        yield f"tiles that exist: at most {self.tiles_most}"
        yield f"frames a second: median {statistics.median(rates):.1f}, least {min(rates):.1f}"
        yield f"longest time between two frames: {max(sample.worst_frame_ms for sample in samples):.0f} ms"
        yield (
            f"event-loop lag of the browser: median {statistics.median(lags):.1f} ms, "
            f"99th percentile {lags[int(len(lags) * 0.99)]:.1f} ms, largest {lags[-1]:.0f} ms"
        )
        heaps = [sample.heap_bytes / _MB for sample in samples]
        yield f"heap of the browser: first {heaps[0]:.1f} MB, last {heaps[-1]:.1f} MB, largest {max(heaps):.1f} MB"
        yield f"slope of the heap: {self.heap_slope_mb_per_h:+.1f} MB an hour"
        yield f"elements: first {samples[0].elements}, last {samples[-1].elements}"
        yield f"event-loop lag of the server: largest {max(sample.server_lag_ms for sample in samples):.0f} ms"


class _NoIndex:
    """No store of results beside the topic."""

    def streams(self) -> tuple[str, ...]:
        return ()

    def newest_ns(self, stream: str) -> int | None:  # noqa: ARG002 - as the protocol has it
        return None


def run_load(options: LoadOptions, browser: Browser) -> LoadReport:
    """Show the feeds for some time, scroll through them, and measure. Blocks. Raises if the browser complains."""
    transport = MemoryTransport(partitions=1, max_bytes=_MAX_BYTES)
    media = [clip_media(name, _PICTURE_WIDTH) for name in CLIPS]
    feeds = [
        SyntheticFeed(f"camera-{number:03}", number, media[number % len(media)]) for number in range(options.feeds)
    ]
    publisher = FeedPublisher(transport, feeds, has_sound=False)
    publisher.create_topics()
    first_ns = time.time_ns() // WINDOW_NS * WINDOW_NS - 10 * WINDOW_NS
    for number in range(10):
        publisher.publish(number, first_ns + number * WINDOW_NS)
    stop = threading.Event()
    published = [10]
    thread = threading.Thread(target=_publish, args=(publisher, first_ns, stop, published), name="feeds")
    with _server(transport) as server, closing(browser.new_page(viewport={"width": 1440, "height": 900})) as page:
        thread.start()
        try:
            complaints: list[str] = []
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
            page.add_init_script(_METER)
            page.goto(f"{server.url}#/wall")
            page.locator(".tile .picture img").first.wait_for(timeout=60_000)
            samples = tuple(_samples(page, server, options))
            stop.set()
            thread.join()
            is_shown = _shows_newest(page, first_ns + published[0] * WINDOW_NS)
        finally:
            stop.set()
            thread.join()
    if complaints:
        raise RuntimeError(f"the browser complained: {complaints[:5]}")
    most = max(sample.tiles for sample in samples)
    return LoadReport(options, samples, published[0] * options.feeds, most, is_shown)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    # In a container there is neither a sandbox for root nor much shared memory.
    arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@contextmanager
def _server(transport: MemoryTransport) -> Iterator[PageServer]:
    listen = ListenOptions(port=0)
    setup = PageSetup(
        transport,
        _NoIndex(),
        Surveyor(PIPELINE, max_record_bytes=4 << 20, idle_ns=30 * NS_PER_S),
        access_rules(listen, AccessOptions()),
        has_index=False,
        memory=MemoryOptions(since="beginning"),
    )
    with PageServer(setup, listen) as server:
        yield server


def _publish(publisher: FeedPublisher, first_ns: int, stop: threading.Event, published: list[int]) -> None:
    """Publish each window of all feeds when its time has come."""
    while True:
        start_ns = first_ns + published[0] * WINDOW_NS
        if stop.wait(max(0.0, (start_ns + WINDOW_NS - time.time_ns()) / NS_PER_S)):
            return
        publisher.publish(published[0], start_ns)
        published[0] += 1


def _samples(page: Page, server: PageServer, options: LoadOptions) -> Iterator[LoadSample]:
    """Measure, and scroll the wall by a screen in each interval, to the end and back."""
    debugger = page.context.new_cdp_session(page)
    debugger.send("Performance.enable")
    page.wait_for_timeout(options.warm_up_s * 1_000)
    page.evaluate(_TAKE)
    page.mouse.move(700, 500)
    interval_s = min(_MEASURE_S, options.seconds / 4)
    began_s = last_s = time.monotonic()
    direction, samples = 1, 0
    while last_s - began_s < options.seconds or samples < _FEWEST_SAMPLES:
        page.mouse.wheel(0, 700 * direction)
        page.wait_for_timeout(interval_s * 1_000)
        taken: dict[str, Any] = page.evaluate(_TAKE)
        now_s = time.monotonic()
        memory = _memory(debugger)
        if _is_at_end(page, direction):
            direction = -direction
        yield LoadSample(
            now_s - began_s,
            taken["frames"] / (now_s - last_s),
            taken["worstFrameMs"],
            tuple(taken["lags"]),
            memory["JSHeapUsedSize"],
            int(memory["Nodes"]),
            taken["tiles"],
            server.metrics.loop_lag_s * 1_000,
        )
        page.evaluate(_TAKE)  # the garbage collection is no part of the next interval
        last_s, samples = time.monotonic(), samples + 1


def _memory(debugger: CDPSession) -> dict[str, float]:
    debugger.send("HeapProfiler.collectGarbage")
    metrics = debugger.send("Performance.getMetrics")["metrics"]
    return {metric["name"]: metric["value"] for metric in metrics}


def _is_at_end(page: Page, direction: int) -> bool:
    scroller = "document.querySelector('.wall-scroller')"
    if direction < 0:
        return bool(page.evaluate(f"{scroller}.scrollTop <= 0"))
    return bool(page.evaluate(f"{scroller}.scrollTop + {scroller}.clientHeight >= {scroller}.scrollHeight - 2"))


def _shows_newest(page: Page, end_ns: int) -> bool:
    """Whether the tiles in sight come to show the newest window."""
    seconds = end_ns // NS_PER_S % 86_400
    clock = f"{seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    limit_s = time.monotonic() + _SHOWN_WITHIN_S
    while time.monotonic() < limit_s:
        times = page.locator(".tile-time").all_inner_texts()
        if times and all(each == clock for each in times):
            return True
        page.wait_for_timeout(100)
    return False
