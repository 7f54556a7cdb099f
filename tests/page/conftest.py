"""A real server of the page over the memory transport, with synthetic feeds, and a real Chromium."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from benchmarks.page_load.clip_pictures import CLIPS, ClipMedia, clip_media
from benchmarks.page_load.load_run import CHROMIUM, chromium
from benchmarks.page_load.synthetic_feeds import PIPELINE, WINDOW_NS, FeedPublisher, SyntheticFeed
from tools.build_page import build_page
from triptych.consumers.asking.grounded import GroundedWriter
from triptych.consumers.doctor.look import Surveyor
from triptych.consumers.page.access_rules import access_rules
from triptych.consumers.page.options import AccessOptions, ListenOptions, MemoryOptions, ReviewOptions
from triptych.consumers.page.program import PageServer, PageSetup
from triptych.consumers.page.questions.question_desk import QuestionDesk
from triptych.consumers.page.reading.moment_finder import MomentFinder
from triptych.consumers.searching.indexing import IndexLoop, Retention
from triptych.consumers.searching.window_index import index_writer
from triptych.transport.memory.transport import MemoryTransport
from triptych.units import NS_PER_S

REQUIRED: Final = os.environ.get("TRIPTYCH_REQUIRE_SERVERS") == "1" or os.environ.get("CI") == "true"
FEEDS: Final = ("harbour-gate", "news-24", "lobby.west", "warehouse-3", "studio_b", "canal-2", "platform-4", "yard")
WINDOWS: Final = 45
"""How many windows each feed has when a test begins: 90 seconds."""
WAIT_MS: Final = 60_000
"""The longest wait for what the page shall show: machines that test may be busy."""

expect.set_options(timeout=WAIT_MS)


class NoIndex:
    """No store of results beside the topic."""

    def streams(self) -> tuple[str, ...]:
        """Return no stream."""
        return ()

    def newest_ns(self, stream: str) -> int | None:  # noqa: ARG002 - as the protocol has it
        """Return that there is no result."""
        return None


@dataclass
class LivePage:
    """A server of the page, which can be stopped and started, and the feeds that it shows."""

    publisher: FeedPublisher
    access: AccessOptions = field(default_factory=lambda: AccessOptions(allow="operate"))
    review: ReviewOptions = field(default_factory=ReviewOptions)
    index: Path | None = None
    has_desk: bool = True
    writer: GroundedWriter | None = None
    memory: MemoryOptions = field(default_factory=lambda: MemoryOptions(since="beginning"))
    port: int = 0
    next_window: int = 0
    first_ns: int = 0
    server: PageServer | None = None

    @property
    def url(self) -> str:
        """URL of the page."""
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start the server; again on the same port."""
        listen = ListenOptions(port=self.port)
        setup = PageSetup(
            self.publisher.transport,
            NoIndex(),
            Surveyor(PIPELINE, max_record_bytes=4 << 20, idle_ns=30 * NS_PER_S),
            access_rules(listen, self.access),
            has_index=False,
            review=self.review,
            memory=self.memory,
            finder=None if self.index is None else MomentFinder(self.index, PIPELINE),
            desk=None if self.index is None or not self.has_desk else QuestionDesk(self.index, PIPELINE, self.writer),
        )
        self.server = PageServer(setup, listen)
        self.server.__enter__()
        self.port = urlsplit(self.server.url).port or 0

    def wait_for_past(self) -> None:
        """Wait until the server has read what was published before it started."""
        limit_s = time.monotonic() + WAIT_MS / 1_000
        while self.server is None or self.server.state.catching_up:
            assert time.monotonic() < limit_s, "the server is still reading what was published before"
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop the server. Does nothing if it is stopped."""
        if self.server is not None:
            self.server.__exit__(None, None, None)
            self.server = None

    def write_index(self) -> None:
        """Write what was published to the index, as `triptych index` does."""
        assert self.index is not None
        with index_writer(self.index, PIPELINE) as writer:
            IndexLoop(writer, Retention()).run(self.publisher.transport, threading.Event(), until_end=True)

    def publish(self, windows: int = 1) -> None:
        """Publish the next windows of all feeds."""
        for _ in range(windows):
            self.publisher.publish(self.next_window, self.first_ns + self.next_window * WINDOW_NS)
            self.next_window += 1


OpenPage = Callable[..., Page]
StartPage = Callable[..., LivePage]


@pytest.fixture(scope="session")
def built_page() -> None:
    """The front end, built from the present sources."""
    if shutil.which("npm") is None:
        _missing("npm", "apt-get install npm")
    build_page()


@pytest.fixture(scope="session")
def browser(built_page: None) -> Iterator[Browser]:  # noqa: ARG001 - it shows what was built
    """Debian's Chromium, without a window."""
    if not os.access(CHROMIUM, os.X_OK):
        _missing("Chromium", "apt-get install chromium")
    with chromium() as browser:
        yield browser


def wait_until(page: Page, expression: str) -> None:
    """Wait until an expression is true in the page. Playwright's own function needs `eval`, which the page forbids."""
    limit_s = time.monotonic() + WAIT_MS / 1_000
    while not page.evaluate(expression):
        assert time.monotonic() < limit_s, expression
        page.wait_for_timeout(50)


def _missing(what: str, command: str) -> None:
    message = f"{what} is missing: {command}"
    if REQUIRED:
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def clips() -> tuple[ClipMedia, ...]:
    """Pictures and sounds of the sample clips."""
    return tuple(clip_media(name, width=480) for name in CLIPS)


@pytest.fixture
def start_page(clips: tuple[ClipMedia, ...]) -> Iterator[StartPage]:
    """Start servers, each with its own feeds and a past of `WINDOWS` windows; stop them at the end."""
    started: list[LivePage] = []

    def start(
        names: Sequence[str] = FEEDS,
        prepare: Callable[[LivePage], None] | None = None,
        *,
        windows: int = WINDOWS,
        index: Path | None = None,
    ) -> LivePage:
        feeds = [SyntheticFeed(name, number, clips[number % len(clips)]) for number, name in enumerate(names)]
        page = LivePage(FeedPublisher(MemoryTransport(partitions=1, max_bytes=1 << 30), feeds), index=index)
        page.first_ns = time.time_ns() // WINDOW_NS * WINDOW_NS - windows * WINDOW_NS
        page.publisher.create_topics()
        if prepare is not None:
            prepare(page)
        page.publish(windows)
        if index is not None:
            page.write_index()
        page.start()
        started.append(page)
        page.wait_for_past()
        return page

    yield start
    for page in started:
        page.stop()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complains of: errors of scripts, and violations of the content security policy."""
    return []


@pytest.fixture
def open_page(browser: Browser, complaints: list[str]) -> Iterator[OpenPage]:
    """Open the page in a browser of its own. At the end nothing may have been complained of."""
    contexts: list[BrowserContext] = []

    def open_(live: LivePage, view: str = "#/wall", *, width: int = 1440, height: int = 900, **options: str) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            timezone_id="UTC",
            locale=options.get("locale", "en-GB"),
            color_scheme="light" if options.get("theme") == "light" else "dark",
            reduced_motion="reduce",
        )
        contexts.append(context)
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("console", lambda message: complaints.extend(_complaint(message)))
        page.goto(view if view.startswith("about:") else live.url + view)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def _complaint(message: ConsoleMessage) -> list[str]:
    """A server that is stopped on purpose is no complaint."""
    is_away = "net::ERR_" in message.text or "Failed to load resource" in message.text
    return [f"{message.type}: {message.text}"] if message.type in {"error", "warning"} and not is_away else []
