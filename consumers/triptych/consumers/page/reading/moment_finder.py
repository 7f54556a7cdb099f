"""Search the index that `triptych index` writes, for the page. Blocks. Its client is imported at the first search."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from triptych.consumers.page.api_types import SearchNote
from triptych.consumers.page.problems import PageProblemError, still_loading
from triptych.consumers.searching.index_location import is_server
from triptych.schemas.errors import TriptychError, UsageError
from triptych.settings.url_passwords import without_password
from triptych.units import NS_PER_MS

if TYPE_CHECKING:
    from triptych.consumers.searching.search import MomentQuery, MomentSearch, QueryEmbedder, SearchAnswer

log = structlog.get_logger(__name__)

_FOLDER_MODULES: Final = ("lancedb", "pyarrow")
_POSTGRES_MODULES: Final = ("pgvector", "psycopg")
_RETRY_S: Final = 10
_LOAD_AGAIN_S: Final = 60.0
"""After this time an encoder that could not be loaded is tried again: its weights may have been pulled."""
_SET_OF_LETTERS: Final = re.compile(r"\[!?\]?[^\]]*\]")
_NOTES: Final = (
    (
        "the index has no vectors",
        "Searched by words only: the index has no vectors.",
        "仅按词语搜索: 索引中没有向量。",
    ),
    (
        "no encoder of the space",
        "Searched by words only: the page has no encoder for what is meant.",
        "仅按词语搜索: 页面没有可用的语义编码器。",
    ),
    (
        "the index has no window of a stream with this name",
        "The index has nothing of this feed.",
        "索引中没有该信号源的内容。",
    ),
    (
        "of which the best were searched",
        "More windows fit than are searched at once. Choose a feed, or a shorter time.",
        "符合的窗口太多, 只搜索了其中一部分。请选择信号源, 或缩短时间范围。",
    ),
)
"""What the search says, by a part of it, for those who look at a page instead of a command line."""


@dataclass(frozen=True, slots=True)
class MomentsWanted:
    """What to look for (see `MomentQuery`).

    Attributes:
        feed: only this feed; empty for all.
        patterns: only feeds that fit one of these patterns of the users file; empty for all.
    """

    text: str = ""
    said: str = ""
    seen: str = ""
    heard: str = ""
    feed: str = ""
    patterns: tuple[str, ...] = ()
    since_ms: int | None = None
    until_ms: int | None = None
    limit: int = 30

    def query(self) -> MomentQuery:
        """Return it for the index."""
        from triptych.consumers.searching.search import MomentQuery  # noqa: PLC0415 - an extra

        return MomentQuery(
            self.text,
            streams=(self.feed,) if self.feed else (),
            since_ns=None if self.since_ms is None else self.since_ms * NS_PER_MS,
            until_ns=None if self.until_ms is None else self.until_ms * NS_PER_MS,
            said=self.said,
            seen=self.seen,
            heard=self.heard,
            limit=self.limit,
            # The index knows no sets of letters. The page looks at what it finds once more.
            stream_patterns=tuple(_SET_OF_LETTERS.sub("?", pattern) for pattern in self.patterns),
        )


class MomentFinder:
    """Searches one index, which may be written only later, or anew. One thread makes all calls."""

    def __init__(
        self,
        location: Path | str,
        pipeline: str,
        picture_space: str = "",
        *,
        password: str | None = None,
        clock_s: Callable[[], float] = time.monotonic,
        is_loading: Callable[[], bool] = lambda: False,
    ) -> None:
        """Open nothing yet.

        Args:
            location: folder of the index, or `postgresql://USER@HOST/DATABASE`.
            pipeline: whose index it must be.
            picture_space: the foundation model of the workers, if they have one.
            password: of the user of a database; None if it is in libpq's own places, or not needed.
            clock_s: never goes back.
            is_loading: says whether what writes the index has not begun yet. Then who searches is told to wait.

        Raises:
            UsageError: the extra `index`, or `postgres`, is not installed.
        """
        extra, modules = ("postgres", _POSTGRES_MODULES) if is_server(location) else ("index", _FOLDER_MODULES)
        if any(find_spec(module) is None for module in modules):
            raise UsageError(f"page: to search an index needs the extra {extra}: pip install 'triptych[{extra}]'")
        self._location = location
        self._password = password
        self._pipeline = pipeline
        self._picture_space = picture_space
        self._search: MomentSearch | None = None
        self._embedder: QueryEmbedder | None = None
        self._space: str | None = None
        self._clock_s = clock_s
        self._is_loading = is_loading
        self._load_again_s: float | None = None

    def find(self, wanted: MomentsWanted) -> SearchAnswer:
        """Find moments. Blocks; the first time also while the encoder of queries is loaded.

        Raises:
            UsageError: nothing is asked for.
            PageProblemError: there is no index, or it cannot be used. The next search tries to open it again.
        """
        query = wanted.query()
        if self._is_loading():  # before LanceDB starts threads, which a program that forks yet must not have
            raise still_loading()
        try:
            search = self._opened()
            if query.text.strip():
                search = search.with_embedder(self._embedder_of(search))
            return search.find(query)
        except Exception as error:  # LanceDB has no error classes of its own
            self.close()
            known = isinstance(error, TriptychError)
            log.warning(
                "page_index_unavailable",
                location=without_password(str(self._location)),
                reason=str(error),
                exc_info=not known,
            )
            raise PageProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "there is no index that can be searched",
                "whoever runs the page runs `triptych index` too; the log of the page says more",
                retry_after_s=_RETRY_S,
            ) from error

    def close(self) -> None:
        """Close what is open. A later search opens it again."""
        if self._search is not None:
            self._search.close()
            self._search = None

    def _opened(self) -> MomentSearch:
        from triptych.consumers.searching.search import MomentSearch  # noqa: PLC0415 - an extra

        if self._search is None:
            search = MomentSearch.open(self._location, pipeline=self._pipeline, password=self._password)
            if search.pipeline != self._pipeline:
                raise UsageError(
                    f"expected the index of pipeline {self._pipeline!r}, got that of {search.pipeline!r}; name another "
                    "one with --index"
                )
            self._search = search
        return self._search

    def _embedder_of(self, search: MomentSearch) -> QueryEmbedder | None:
        """Return the encoder of the space of the index; None where there is none: then words are searched."""
        space = search.space
        if space is None:
            return self._embedder
        is_due = self._load_again_s is not None and self._clock_s() >= self._load_again_s
        if space != self._space or is_due:
            self._space, self._embedder, self._load_again_s = space, None, None
            try:
                found = _query_embedder(space, self._picture_space)
            except TriptychError as error:
                log.warning("page_encoder_missing", space=space, reason=str(error))
                self._load_again_s = self._clock_s() + _LOAD_AGAIN_S
            else:
                self._embedder = found if found is not None and found.name == space else None
        return self._embedder


def search_note(note: str) -> SearchNote:
    """Return what the search says about itself, in both languages."""
    for part, text, text_zh in _NOTES:
        if part in note:
            return SearchNote(text=text, text_zh=text_zh)
    return SearchNote(text=note, text_zh=note)


def _query_embedder(space: str, picture_space: str) -> QueryEmbedder | None:
    from triptych.consumers.searching.query_embedding import query_embedder  # noqa: PLC0415 - it imports models

    return query_embedder(space, picture_space)
