"""Answer questions about the index that `triptych index` writes, for the page. LanceDB is imported at the first one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from triptych.consumers.page.problems import PageProblemError, still_loading
from triptych.schemas.errors import TriptychError, UsageError

if TYPE_CHECKING:
    from triptych.consumers.asking.answer import Answer
    from triptych.consumers.asking.asker import Asker
    from triptych.consumers.asking.grounded import GroundedWriter
    from triptych.consumers.asking.session import LastAnswer

log = structlog.get_logger(__name__)

LOOKUP_LIMIT_S: Final = 30.0
_RETRY_S: Final = 10
_PACKAGES: Final = ("dateparser", "httpx2", "lancedb", "pyoxigraph")
"""Of the extra `ask`."""


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A question, and what it may rest on.

    Attributes:
        text: the question.
        may_see: says whether a feed may be looked at; None if all may be.
        feed: look at this feed only; empty for all.
        last: what the conversation remembers of the answer before.
    """

    text: str
    may_see: Callable[[str], bool] | None
    feed: str = ""
    last: LastAnswer | None = None


class QuestionDesk:
    """Answers questions about one index, which may be written only later, or anew. Any thread may call it.

    Each thread works with its own handles of the index and of its graph, which are used again.
    """

    def __init__(
        self,
        folder: Path,
        pipeline: str,
        writer: GroundedWriter | None = None,
        *,
        limit_s: float = LOOKUP_LIMIT_S,
        clock_s: Callable[[], float] = time.monotonic,
        is_loading: Callable[[], bool] = lambda: False,
    ) -> None:
        """Open nothing yet.

        Args:
            folder: the folder of the index.
            pipeline: the pipeline that the index has to be of.
            writer: a language model that words the answers.
            limit_s: the longest time for a question, with the time of the language model.
            clock_s: never goes back.
            is_loading: says whether what writes the index has not begun yet. Then who asks is told to wait.
        """
        self.limit_s = limit_s
        self._folder = folder
        self._pipeline = pipeline
        self._writer = writer
        self._clock_s = clock_s
        self._is_loading = is_loading
        self._idle: list[Asker] = []
        self._lock = threading.Lock()
        self._is_closed = threading.Event()

    @property
    def has_model(self) -> bool:
        """Whether a language model words the answers."""
        return self._writer is not None

    def answer(self, asked: AskedQuestion, stop: threading.Event) -> Answer:
        """Answer a question. Blocks. `stop` ends it early.

        Raises:
            PageProblemError: there is no index or no graph yet, something is not installed, or it takes too long.
        """
        if self._is_loading():  # before LanceDB starts threads, which a program that forks yet must not have
            raise still_loading()
        end_s = self._clock_s() + self.limit_s

        def stopped() -> bool:
            return stop.is_set() or self._is_closed.is_set() or self._clock_s() >= end_s

        with self._problems_told():
            _require_extra()
            from triptych.consumers.asking.lookup import (  # noqa: PLC0415 - an extra
                AskLimits,
                AskScope,
                QuestionStoppedError,
            )
            from triptych.consumers.describing.chat.endpoint import (  # noqa: PLC0415 - an HTTP client
                RequestStoppedError,
            )

            scope = AskScope((asked.feed,) if asked.feed else ())
            if stopped():  # it waited for a thread, and nobody waits for it any more
                raise too_slow(self.limit_s)
            try:
                with self._asker() as asker:
                    return asker.ask(asked.text, scope, asked.last, AskLimits(asked.may_see, stopped))
            except (QuestionStoppedError, RequestStoppedError):
                raise too_slow(self.limit_s) from None

    def close(self) -> None:
        """End what runs. Does not wait for it."""
        self._is_closed.set()

    @contextmanager
    def _asker(self) -> Iterator[Asker]:
        """Lend handles that no other thread uses. Those of a question that failed are not used again."""
        with self._lock:
            asker = self._idle.pop() if self._idle else None
        asker = asker or self._opened()
        yield asker
        with self._lock:
            self._idle.append(asker)

    def _opened(self) -> Asker:
        from triptych.consumers.asking.asker import Asker  # noqa: PLC0415 - an extra

        asker = Asker.open(self._folder, writer=self._writer)
        if asker.pipeline != self._pipeline:
            raise UsageError(
                f"expected the index of pipeline {self._pipeline!r}, got that of {asker.pipeline!r}; name another "
                "folder with --index"
            )
        return asker

    @contextmanager
    def _problems_told(self) -> Iterator[None]:
        """Say what whoever runs the page has to start or to install. The log says more."""
        try:
            yield
        except PageProblemError:
            raise
        except Exception as error:  # LanceDB has no error classes of its own
            known = isinstance(error, TriptychError)
            log.warning("page_questions_unavailable", folder=str(self._folder), reason=str(error), exc_info=not known)
            raise _unavailable(
                "there is no index that can be asked" if not _has_no_graph(error) else "the index has no graph",
                "whoever runs the page installs the extra `ask` where `triptych index` runs, and runs it; the log of "
                "the page says more",
            ) from error


def too_slow(limit_s: float) -> PageProblemError:
    """Return the problem of a question that takes longer than it may."""
    return PageProblemError(
        HTTPStatus.GATEWAY_TIMEOUT,
        f"the question took longer than {limit_s:g} seconds",
        "name a feed or a time, so that less is looked at",
    )


def has_extra() -> bool:
    """Return whether all is installed that questions need."""
    return all(find_spec(name) is not None for name in _PACKAGES)


def _require_extra() -> None:
    if not has_extra():
        raise _unavailable(
            "questions need the extra ask",
            "whoever runs the page installs it there and where `triptych index` runs: pip install 'triptych[ask]'",
        )


def _unavailable(error: str, what_to_do: str) -> PageProblemError:
    return PageProblemError(HTTPStatus.SERVICE_UNAVAILABLE, error, what_to_do, retry_after_s=_RETRY_S)


def _has_no_graph(error: Exception) -> bool:
    from triptych.consumers.searching.graph.window_graph import WindowGraphError  # noqa: PLC0415 - an extra

    return isinstance(error, WindowGraphError)
