"""The state of the pipeline and its dead letters: `/api/health`, `/api/dead`."""

from __future__ import annotations

from collections import Counter
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from triptych.consumers.page.api_types import (
    DeadCount,
    HealthBody,
    ModelRow,
    PageCounts,
    RedisBody,
    RedriveRequest,
)
from triptych.consumers.page.problems import not_found
from triptych.consumers.page.reading.dead_desk import DeadDesk
from triptych.consumers.page.reading.pipeline_look import PipelineLook, findings, producers
from triptych.consumers.page.state.bodies import to_ms
from triptych.consumers.page.web.access import PageUser
from triptych.consumers.page.web.answers import body_of, json_response, require_role, whole_number
from triptych.consumers.page.web.parts import PageParts
from triptych.transport.errors import TransportError

log = structlog.get_logger(__name__)

_MOST_LETTERS: Final = 1_000
_MOST_DIGITS: Final = 18


class OperationRoutes:
    """The routes for whoever runs the pipeline."""

    def __init__(self, parts: PageParts) -> None:
        self._parts = parts

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/health", self.health, methods=["GET"]),
            Route("/api/dead", self.letters, methods=["GET"]),
            Route("/api/dead/redrive", self.redrive, methods=["POST"]),
            Route("/api/dead/{partition}/{offset}", self.letter, methods=["GET"]),
        ]

    async def health(self, request: Request) -> Response:
        """Return what is found of the pipeline, what is wrong first."""
        user = require_role(request, "see")
        look = await self._parts.health.fresh()
        dead = self._parts.stores.dead
        counts = await self._parts.desk.run(("counts", user), lambda: _counts(dead, user))
        return json_response(self._body(user, look, counts))

    async def letters(self, request: Request) -> Response:
        """Return dead letters, the newest first."""
        user = require_role(request, "see")
        reason = request.query_params.get("reason")
        limit = whole_number(request, "limit", 100, least=1, most=_MOST_LETTERS)
        dead = self._parts.stores.dead
        key = ("letters", user, reason, limit)
        return json_response(await self._parts.desk.run(key, lambda: dead.letters(user.may_see, reason, limit)))

    async def letter(self, request: Request) -> Response:
        """Return one dead letter."""
        user = require_role(request, "see")
        position = (request.path_params["partition"], request.path_params["offset"])
        if not all(text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS for text in position):
            raise not_found("there is no such dead letter", "`/api/dead` lists them")
        partition, offset = map(int, position)
        dead = self._parts.stores.dead
        key = ("letter", user, partition, offset)
        return json_response(await self._parts.desk.run(key, lambda: dead.letter(user.may_see, partition, offset)))

    async def redrive(self, request: Request) -> Response:
        """Send the records of dead letters back to their topics."""
        user = require_role(request, "operate")
        wanted = await body_of(request, RedriveRequest)
        positions = [(letter.partition, letter.offset) for letter in wanted.letters]
        dead = self._parts.stores.dead
        done = await self._parts.desk.run(object(), lambda: dead.redrive(user.may_see, positions))
        log.info("page_redriven", user=user.name, letters=len(positions), redriven=done.redriven, failed=done.failed)
        return json_response(done)

    def _body(self, user: PageUser, look: PipelineLook, dead: tuple[DeadCount, ...]) -> HealthBody:
        state = self._parts.state
        feeds = [feed for feed in state.feeds.values() if user.may_see(feed.name)]
        models = Counter(feed.newest.model for feed in feeds if feed.newest is not None)
        sees_all = user.sees_all
        return HealthBody(
            looked_ms=to_ms(look.seen.now_ns),
            findings=findings(look, user.may_see),
            feeds_n=len(feeds),
            topics=look.topics if sees_all else (),
            groups=look.groups if sees_all else (),
            late=sum(feed.late for feed in feeds),
            shed=sum(feed.shed for feed in feeds),
            dead_in_results=sum(feed.dead for feed in feeds),
            dead=dead,
            models=tuple(
                ModelRow(name=name, version=version, sha256=sha256, feeds=count)
                for (name, version, sha256), count in models.most_common()
            ),
            redis=RedisBody(
                used=look.has_index,
                error=look.seen.redis_error,
                feeds=sum(stream.kept_ns is not None for stream in look.seen.streams if user.may_see(stream.stream))
                if look.has_index and not look.seen.redis_error
                else None,
            ),
            producers=producers(look, user.may_see),
            page=PageCounts(
                clients=len(self._parts.streams),
                coalesced=state.coalesced,
                windows=state.windows if sees_all else 0,
                evidence_bytes=self._parts.stores.picture_cache.size_bytes + self._parts.stores.sound_cache.size_bytes,
                loop_lag_ms=round(self._parts.metrics.loop_lag_s * 1_000, 1),
            ),
        )


def _counts(dead: DeadDesk, user: PageUser) -> tuple[DeadCount, ...]:
    """Return the dead letters by reason; none while Kafka does not answer: the findings say so."""
    try:
        return dead.counts(user.may_see)
    except TransportError:
        return ()
