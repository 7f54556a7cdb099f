"""Run the page: threads that read, and one thread with an event loop that keeps the state and answers browsers."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from importlib.metadata import version as distribution_version
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog
import uvicorn

from triptych.consumers.alerts.event_tracker import EventLimits
from triptych.consumers.asking.cli import grounded_writer
from triptych.consumers.asking.options import LanguageModelOptions
from triptych.consumers.doctor.look import ResultIndex, Surveyor
from triptych.consumers.page.access_rules import access_rules
from triptych.consumers.page.browser import open_in_browser
from triptych.consumers.page.loop_meter import LoopMeter
from triptych.consumers.page.loop_receiver import LoopReceiver
from triptych.consumers.page.metrics import PageMetrics
from triptych.consumers.page.options import ListenOptions, MemoryOptions, PageOptions, ReviewOptions
from triptych.consumers.page.questions.question_desk import LOOKUP_LIMIT_S, QuestionDesk, has_extra
from triptych.consumers.page.reading.byte_cache import ByteCache
from triptych.consumers.page.reading.dead_desk import DeadDesk
from triptych.consumers.page.reading.moment_finder import MomentFinder
from triptych.consumers.page.reading.pictures import FoundPicture, PictureReader
from triptych.consumers.page.reading.pipeline_look import look_at
from triptych.consumers.page.reading.reader_pool import PooledTransport
from triptych.consumers.page.reading.result_follower import ResultFollower
from triptych.consumers.page.reading.side_follower import SideFollower
from triptych.consumers.page.reading.window_reader import WindowReader
from triptych.consumers.page.state.page_state import PageState, StateLimits
from triptych.consumers.page.state.review_list import ReviewLimits
from triptych.consumers.page.web.app import page_app
from triptych.consumers.page.web.event_stream import EventStreams, StreamParts
from triptych.consumers.page.web.gate import AccessRules
from triptych.consumers.page.web.health_desk import HealthDesk
from triptych.consumers.page.web.parts import PageParts, PageQuestions, PageSearch, PageStores
from triptych.consumers.page.web.static_files import static_folder
from triptych.consumers.page.web.threads import BlockingCalls
from triptych.consumers.rules.rule import Rule
from triptych.consumers.searching.index_location import is_server
from triptych.consumers.subscription.cursor import BEGINNING, NOW, Start
from triptych.consumers.subscription.redis_source import RedisSource
from triptych.consumers.subscription.since import duration_ns, since_ns
from triptych.schemas.errors import TriptychError, UsageError
from triptych.service.health import Health
from triptych.service.signals import stop_on_signal
from triptych.service.status import StatusServer
from triptych.settings.tree import Settings
from triptych.transport.open import open_transport
from triptych.transport.protocols import Transport
from triptych.units import NS_PER_MS

log = structlog.get_logger(__name__)

_EVIDENCE_THREADS: Final = 4
_ASK_THREADS: Final = 2
_MOST_QUESTIONS_WAITING: Final = 8
_WATCH_S: Final = 1.0
_START_LIMIT_S: Final = 30.0
_STOP_LIMIT_S: Final = 10.0
_MB: Final = 1 << 20
_STARTING: Final = {"results": "older results are being read"}

PAGE_ENDED: Final = "the server of the page has ended by an error; its log says which"


class PageEndedError(TriptychError):
    """The server has ended although nobody stopped it."""


@dataclass(frozen=True, slots=True)
class PageSetup:
    """What a page is made of.

    Attributes:
        transport: where results, evidence and dead letters are; the caller closes it.
        index: where results are stored too, for the findings.
        has_index: whether that is a real store.
        surveyor: looks at the pipeline.
        rules: who may look.
        review: what is listed for review.
        memory: what is remembered.
        health: what others are told of the state of this program.
        finder: what searches the index; None without one.
        desk: what answers questions about it; None without one.
    """

    transport: Transport
    index: ResultIndex
    surveyor: Surveyor
    rules: AccessRules
    has_index: bool = True
    review: ReviewOptions = field(default_factory=ReviewOptions)
    memory: MemoryOptions = field(default_factory=MemoryOptions)
    health: Health = field(default_factory=lambda: Health("page", starting=_STARTING))
    finder: MomentFinder | None = None
    desk: QuestionDesk | None = None


def serve_page(settings: Settings, options: PageOptions) -> None:
    """Serve the page until a signal.

    Raises:
        TriptychError: an option is wrong, or the results cannot be read.
    """
    rules = access_rules(options.listen, options.access)
    surveyor = surveyor_of(settings)
    location, space = settings.page.index, settings.model.picture_space
    password = settings.index.password()
    finder = None if location is None else MomentFinder(location, settings.pipeline, space, password=password)
    desk = None if location is None else question_desk(location, settings, options.language_model)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signal())
        transport = stack.enter_context(closing(open_transport(settings.kafka)))
        index = stack.enter_context(closing(RedisSource(settings.redis.full_url(), pipeline=settings.pipeline)))
        setup = PageSetup(
            transport, index, surveyor, rules, review=options.review, memory=options.memory, finder=finder, desk=desk
        )
        server = PageServer(setup, options.listen)
        if settings.page_http.port:
            status = StatusServer.from_settings(settings.page_http, server.metrics.registry, setup.health)
            stack.enter_context(status)
        stack.enter_context(server)
        log.info("page_listening", url=server.url, pipeline=settings.pipeline, login=rules.needs_user)
        if options.listen.open_browser:
            open_in_browser(server.url)
        while not stop.wait(_WATCH_S):
            if not server.is_running:
                raise PageEndedError(PAGE_ENDED)


def surveyor_of(settings: Settings) -> Surveyor:
    """Return what looks at the pipeline of the settings."""
    return Surveyor(
        settings.pipeline, settings.kafka.max_record_bytes, idle_ns=settings.align.idle_timeout_ms * NS_PER_MS
    )


def question_desk(location: str, settings: Settings, language_model: LanguageModelOptions) -> QuestionDesk | None:
    """Return what answers questions about the index in a folder; None for one on a server, which has no graph.

    Raises:
        UsageError: the name or the URL of the language model is missing or invalid, the extra for questions is missing,
            or there is nothing to answer from.
    """
    if is_server(location):
        if language_model.endpoint is not None:
            raise UsageError("page: --endpoint words answers, which need an index in a folder: --index FOLDER")
        return None
    if language_model.endpoint is not None and not has_extra():
        raise UsageError("page: --endpoint needs the extra ask: pip install 'triptych[ask]'")
    writer = grounded_writer(language_model, settings)
    limit_s = LOOKUP_LIMIT_S + (0.0 if writer is None else language_model.timeout)
    return QuestionDesk(Path(location), settings.pipeline, writer, limit_s=limit_s)


class PageServer:
    """Reads and serves while its context is entered."""

    def __init__(self, setup: PageSetup, listen: ListenOptions) -> None:
        """Check the options; listen and read nothing yet.

        Raises:
            UsageError: an option is wrong.
        """
        self._setup = setup
        self._listen = listen
        self._pipeline = setup.surveyor.pipeline
        self._rules = tuple(map(Rule, setup.review.alert))
        self._since = _start(setup.memory.since)
        self.state = PageState(_limits(setup))
        self.metrics = PageMetrics()
        self._pooled = PooledTransport(setup.transport, self._pipeline, most=_EVIDENCE_THREADS + 1)
        self._stop_reading = threading.Event()
        self._readers: list[threading.Thread] = []
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    @property
    def url(self) -> str:
        """URL of the page."""
        if self._socket is None:
            raise RuntimeError("the page is not served: enter its context first")
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    @property
    def is_running(self) -> bool:
        """Whether the page is served."""
        return self._thread.is_alive()

    def __enter__(self) -> Self:
        """Start to listen and to read.

        Raises:
            TransportError: the broker does not answer, or there is no results topic.
            UsageError: the address is wrong, or in use.
        """
        follower = ResultFollower(self._setup.transport, self._pipeline, self._receiver(), self._rules)
        follower.check()
        self._socket = _listening(self._listen.host, self._listen.port)
        self._thread.start()
        if not self._ready.wait(_START_LIMIT_S):
            raise RuntimeError("the event loop of the page has not started")
        side = SideFollower(self._setup.transport, self._pipeline, self._receiver())
        self._read("page-results", lambda: follower.run(self._since, self._stop_reading))
        side_since_ns = self._since if isinstance(self._since, int) else 0
        self._read("page-side", lambda: side.run(side_since_ns, self._stop_reading))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop: first reading, then the streams of changes, then the server."""
        self._request_end()
        for thread in (*self._readers, self._thread):
            thread.join(_STOP_LIMIT_S)
        self._pooled.close()
        if self._setup.finder is not None:
            self._setup.finder.close()
        if self._socket is not None:
            self._socket.close()

    def _request_end(self) -> None:
        self._stop_reading.set()
        if self._loop is not None and self._stop is not None and self._server is not None:
            with suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._end, self._stop, self._server)

    @staticmethod
    def _end(stop: asyncio.Event, server: uvicorn.Server) -> None:
        stop.set()
        server.should_exit = True

    def _receiver(self) -> LoopReceiver:
        return LoopReceiver(self.state, lambda: self._loop, self._stop_reading, self._setup.health)

    def _read(self, name: str, run: Callable[[], None]) -> None:
        def run_to_the_end() -> None:
            try:
                run()
            except Exception:  # a page that no longer reads would show old windows as if they were new
                log.exception("page_ended")
                self._request_end()

        thread = threading.Thread(target=run_to_the_end, name=name, daemon=True)
        thread.start()
        self._readers.append(thread)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception:
            log.exception("page_ended")
        finally:
            self._stop_reading.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        threads = {"evidence": _EVIDENCE_THREADS, "desk": 2, "timelines": 2, "look": 1, "search": 1}
        calls = {name: BlockingCalls(name, count) for name, count in threads.items()}
        calls["ask"] = BlockingCalls("ask", _ASK_THREADS, most_waiting=_MOST_QUESTIONS_WAITING)
        parts = self._parts(self._stop, calls)
        config = uvicorn.Config(
            page_app(parts, static_folder()),
            log_config=None,
            access_log=False,
            proxy_headers=False,  # who the client is must not depend on what it says
            server_header=False,
            date_header=True,
            lifespan="off",
            timeout_graceful_shutdown=2,
            ws="none",
        )
        self._server = uvicorn.Server(config)
        tasks = [
            asyncio.create_task(parts.health.keep_fresh(lambda: len(parts.streams) > 0, self._stop)),
            asyncio.create_task(LoopMeter(parts, self._setup.health.beat).run(self._stop)),
        ]
        self._ready.set()
        try:
            await self._server.serve(sockets=[self._socket] if self._socket is not None else None)
        finally:
            self._stop.set()
            _end_connections(self._server)
            if self._setup.desk is not None:
                self._setup.desk.close()
            await asyncio.gather(*tasks, return_exceptions=True)
            for each in calls.values():
                each.close()

    def _parts(self, stop: asyncio.Event, calls: Mapping[str, BlockingCalls]) -> PageParts:
        setup, cache_bytes = self._setup, self._setup.memory.cache_mb * _MB
        picture_cache, sound_cache = ByteCache[FoundPicture](cache_bytes), ByteCache[bytes](cache_bytes // 4)
        health = HealthDesk(
            lambda: look_at(setup.transport, setup.surveyor, setup.index, has_index=setup.has_index),
            calls["look"],
            self.state,
        )
        return PageParts(
            self._pipeline,
            distribution_version("triptych"),
            self.state,
            setup.rules,
            EventStreams(StreamParts(self.state, health.counts, stop)),
            PageStores(
                self._pooled,
                PictureReader(self._pooled, picture_cache),
                WindowReader(self._pooled, self._pipeline, sound_cache),
                DeadDesk(setup.transport, self._pipeline),
                picture_cache,
                sound_cache,
            ),
            health,
            calls["evidence"],
            calls["desk"],
            calls["timelines"],
            self.metrics,
            None if setup.finder is None else PageSearch(setup.finder, calls["search"]),
            None if setup.desk is None else PageQuestions(setup.desk, calls["ask"]),
        )


def _end_connections(server: uvicorn.Server) -> None:
    """End the connections that a server leaves open whose time to stop was too short.

    Their clients would wait for events of a server that is gone, and not connect to the next one.
    """
    for connection in server.server_state.connections:
        transport = connection.transport
        if transport is not None:
            transport.abort()


def _limits(setup: PageSetup) -> StateLimits:
    review = setup.review
    events = EventLimits(duration_ns(review.hold, "--hold"), duration_ns(review.cool_down, "--cool-down"))
    return StateLimits(windows=setup.memory.windows, reviews=ReviewLimits(review.match_score, events))


def _start(since: str) -> Start:
    """Return where to start reading. Raises `UsageError` if the text is neither a time nor an age."""
    if since == BEGINNING:
        return None
    return NOW if since == NOW else since_ns(since)


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises `UsageError` if the address is wrong, or in use."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=256
        )
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"page: cannot listen on {host}:{port}: {error}; choose another --port, or --port 0"
        ) from error
