"""`triptych demo --page`: the sample clips again and again, shown on the page, until Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from triptych.demo_parts import DemoParts, play_clips

if TYPE_CHECKING:
    from triptych.consumers.page.program import PageServer
    from triptych.settings.tree import Settings

_FREE_PORT: Final = 0
_POLL_S: Final = 0.2
_SHOWN_RULES: Final = ("speech > .5", "novelty > .15")
"""What the demo lists for review, so that there is something to look at without prompts."""


def play_on_page(
    stack: ExitStack, settings: Settings, parts: DemoParts, clips: Sequence[Path], console: Console
) -> None:
    """Serve the page, open it, and play until a signal. Blocks.

    Raises:
        PageEndedError: the server of the page has ended although nobody stopped it.
        TriptychError: a clip cannot be played, or the worker has ended by an error.
    """
    from triptych.consumers.page.browser import open_in_browser
    from triptych.consumers.page.program import PAGE_ENDED, PageEndedError
    from triptych.service.health import Health
    from triptych.service.signals import stop_on_signal
    from triptych.worker.observability.logs import log_hook
    from triptych.worker.run import WholeLog
    from triptych.worker.wiring import Dependencies, open_pipeline

    stop = stack.enter_context(stop_on_signal())
    server = stack.enter_context(_page(settings, parts))
    console.print(f"The page: {server.url}  (Ctrl-C ends it)")
    if not open_in_browser(server.url):
        console.print("Open it in a browser.")
    console.print("Loading the model …")
    around = Dependencies(parts.transport, parts.store, [log_hook()], Health())
    worker = stack.enter_context(open_pipeline(settings, around, WholeLog.of(settings)))
    console.print(f"Playing {', '.join(clip.name for clip in clips)}, again and again")
    stop_playing, stop_working = threading.Event(), threading.Event()
    with ThreadPoolExecutor(2, thread_name_prefix="demo") as threads:
        producing = threads.submit(play_clips, parts.transport, clips, stop_playing, realtime=True, loops=0)
        working = threads.submit(worker.run, stop_working)
        while not stop.wait(_POLL_S) and server.is_running and not producing.done() and not working.done():
            continue
        stop_playing.set()
        stop_working.set()
        has_ended = not stop.is_set() and not server.is_running
    for outcome in producing.result():
        if outcome.error is not None and not stop.is_set():
            raise outcome.error
    working.result()
    if has_ended:
        raise PageEndedError(PAGE_ENDED)


def _page(settings: Settings, parts: DemoParts) -> PageServer:
    from triptych.consumers.page.options import ListenOptions, MemoryOptions, ReviewOptions
    from triptych.consumers.page.program import PageServer, PageSetup, surveyor_of
    from triptych.consumers.page.reading.pipeline_look import NoResultIndex
    from triptych.consumers.page.web.access import LOCAL_USER, PageUser, granted_roles
    from triptych.consumers.page.web.gate import AccessRules

    setup = PageSetup(
        parts.transport,
        parts.index or NoResultIndex(),
        surveyor_of(settings),
        AccessRules(default_user=PageUser(LOCAL_USER, granted_roles(["operate"]))),
        has_index=parts.index is not None,
        review=ReviewOptions(alert=_SHOWN_RULES, hold="4s"),
        memory=MemoryOptions(since="beginning"),
    )
    return PageServer(setup, ListenOptions(port=_FREE_PORT))
