"""The application: routes behind the gate."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from triptych.consumers.page.problems import PageProblemError
from triptych.consumers.page.questions.ask_routes import AskRoutes
from triptych.consumers.page.reading.reader_pool import ReadersBusyError
from triptych.consumers.page.web.answers import answer_error
from triptych.consumers.page.web.feed_routes import FeedRoutes
from triptych.consumers.page.web.gate import Gate
from triptych.consumers.page.web.operation_routes import OperationRoutes
from triptych.consumers.page.web.parts import PageParts
from triptych.consumers.page.web.review_routes import ReviewRoutes
from triptych.consumers.page.web.search_routes import SearchRoutes
from triptych.consumers.page.web.session_routes import SessionRoutes
from triptych.consumers.page.web.static_files import StaticFiles
from triptych.schemas.errors import TriptychError


def page_app(parts: PageParts, static: Path) -> ASGIApp:
    """Return the application. `static` is the folder with the built front end."""
    groups = (
        SessionRoutes(parts),
        FeedRoutes(parts),
        ReviewRoutes(parts),
        OperationRoutes(parts),
        SearchRoutes(parts),
        AskRoutes(parts),
    )
    routes = [route for group in groups for route in group.routes()]
    routes.append(Route("/{path:path}", StaticFiles(static).serve, methods=["GET"]))
    kinds: tuple[type[Exception], ...] = (PageProblemError, TriptychError, ReadersBusyError, HTTPException)
    handlers = dict.fromkeys((*kinds, Exception), answer_error)
    app = Starlette(routes=routes, exception_handlers=handlers)
    return Gate(app, parts.rules, parts.metrics.count_response)
