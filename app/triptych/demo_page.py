"""`triptych demo --page`: the sample clips again and again, shown on the page, until Ctrl-C.

With the extra `ask` their results are indexed in a temporary folder, for the views Search and Ask.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from triptych.demo_parts import DemoParts, play_clips

if TYPE_CHECKING:
    from triptych.consumers.page.program import PageServer
    from triptych.consumers.searching.indexing import IndexLoop
    from triptych.settings.tree import Settings

_FREE_PORT: Final = 0
_POLL_S: Final = 0.2
_SHOWN_RULES: Final = ("speech > .5", "novelty > .15")
"""What the demo lists for review, so that there is something to look at without prompts."""
_INDEX_KEEP_S: Final = 3_600.0


def play_on_page(
    stack: ExitStack, settings: Settings, parts: DemoParts, clips: Sequence[Path], console: Console
) -> None:
    """Serve the page, open it, and play until a signal. Blocks.

    Raises:
        PageEndedError: the server of the page has ended although nobody stopped it.
        TriptychError: a clip cannot be played, or the worker has ended by an error.
    """
    from triptych.consumers.page.program import PAGE_ENDED, PageEndedError
    from triptych.consumers.page.questions.question_desk import has_extra
    from triptych.service.health import Health
    from triptych.service.signals import stop_on_signal
    from triptych.worker.observability.logs import log_hook
    from triptych.worker.run import WholeLog
    from triptych.worker.wiring import Dependencies, open_pipeline

    stop = stack.enter_context(stop_on_signal())
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="triptych-demo-"))) if has_extra() else None
    has_index = threading.Event()
    server = stack.enter_context(_page(settings, parts, folder, lambda: not has_index.is_set()))
    _show(server.url, console, has_index=folder is not None)
    console.print("Loading the model …")
    around = Dependencies(parts.transport, parts.store, [log_hook()], Health())
    worker = stack.enter_context(open_pipeline(settings, around, WholeLog.of(settings)))
    # After the model, whose loading forks: LanceDB's threads do not survive that.
    index = None if folder is None else stack.enter_context(_index(folder, settings.pipeline))
    has_index.set()
    console.print(f"Playing {', '.join(clip.name for clip in clips)}, again and again")
    stop_playing, stop_working = threading.Event(), threading.Event()
    with ThreadPoolExecutor(3, thread_name_prefix="demo") as threads:
        producing = threads.submit(play_clips, parts.transport, clips, stop_playing, realtime=True, loops=0)
        working: list[Future[object]] = [threads.submit(worker.run, stop_working)]
        if index is not None:
            working.append(threads.submit(index.run, parts.transport, stop_working))
        while not stop.wait(_POLL_S) and server.is_running and not _is_any_done(producing, *working):
            continue
        stop_playing.set()
        stop_working.set()
        has_ended = not stop.is_set() and not server.is_running
    for outcome in producing.result():
        if outcome.error is not None and not stop.is_set():
            raise outcome.error
    for each in working:
        each.result()
    if has_ended:
        raise PageEndedError(PAGE_ENDED)


def _show(url: str, console: Console, *, has_index: bool) -> None:
    from triptych.consumers.page.browser import open_in_browser

    console.print(f"The page: {url}  (Ctrl-C ends it)")
    if not open_in_browser(url):
        console.print("Open it in a browser.")
    if not has_index:
        console.print("Search and Ask need the extra ask: pip install 'triptych[ask]'", markup=False)


def _is_any_done(*tasks: Future[Any]) -> bool:
    return any(task.done() for task in tasks)


@contextmanager
def _index(folder: Path, pipeline: str) -> Iterator[IndexLoop]:
    """Create the index. Yield what writes it."""
    from triptych.consumers.searching.indexing import IndexLoop, Retention
    from triptych.consumers.searching.window_index import index_writer

    with index_writer(folder, pipeline) as writer:
        yield IndexLoop(writer, Retention(keep_s=_INDEX_KEEP_S))


def _page(settings: Settings, parts: DemoParts, folder: Path | None, is_loading: Callable[[], bool]) -> PageServer:
    from triptych.consumers.page.options import ListenOptions, MemoryOptions, ReviewOptions
    from triptych.consumers.page.program import PageServer, PageSetup, surveyor_of
    from triptych.consumers.page.questions.question_desk import QuestionDesk
    from triptych.consumers.page.reading.moment_finder import MomentFinder
    from triptych.consumers.page.reading.pipeline_look import NoResultIndex
    from triptych.consumers.page.web.access import LOCAL_USER, PageUser, granted_roles
    from triptych.consumers.page.web.gate import AccessRules

    space = settings.model.picture_space
    setup = PageSetup(
        parts.transport,
        parts.index or NoResultIndex(),
        surveyor_of(settings),
        AccessRules(default_user=PageUser(LOCAL_USER, granted_roles(["operate"]))),
        has_index=parts.index is not None,
        review=ReviewOptions(alert=_SHOWN_RULES, hold="4s"),
        memory=MemoryOptions(since="beginning"),
        finder=None if folder is None else MomentFinder(folder, settings.pipeline, space, is_loading=is_loading),
        desk=None if folder is None else QuestionDesk(folder, settings.pipeline, is_loading=is_loading),
    )
    return PageServer(setup, ListenOptions(port=_FREE_PORT))
