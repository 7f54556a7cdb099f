"""Results from Redis: the streams of a pipeline, those that appear later too."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    RedisClusterException,
    RedisError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from triptych.consumers.subscription.cursor import Cursor, Start, check_cursor
from triptych.consumers.subscription.result_source import (
    FeedEvent,
    Found,
    Gap,
    Malformed,
    SourceError,
    SourceUnavailableError,
)
from triptych.schemas.codec import parse_result
from triptych.schemas.errors import MalformedRecordError, UsageError
from triptych.schemas.names import redis_results_key, redis_streams_key
from triptych.service.redis_client import RedisAddress, is_sentinel_login_failure, is_untrusted_certificate
from triptych.units import NS_PER_MS

log = structlog.get_logger(__name__)

_TIMEOUT_S: Final = 5.0
_DISCOVER_EVERY_S: Final = 1.0
_LOOK_EVERY_S: Final = 0.05
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_ENTRIES_PER_POLL: Final = 1_000
_ENTRIES_PER_STREAM: Final = 100
_MS_PER_S: Final = 1_000
_LAST_SEQUENCE: Final = 2**64 - 1
_BEGINNING: Final = "0-0"
_POSITION: Final = re.compile(r"^([0-9]{1,20}-[0-9]{1,20})(?:/([0-9]{1,19}))?$", re.ASCII)
_REFUSED: Final = (AuthenticationError, AuthorizationError)  # connection errors to the client: they come first
_AWAY: Final = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, ClusterDownError)

_Entries = Iterable[tuple[bytes, Mapping[bytes, bytes]]]


@dataclass(slots=True)
class _FeedPosition:
    """How far a stream is read: the entry's id, its serial number if known, and the id to end with."""

    last_id: str
    serial: int | None = None
    end_id: str | None = None

    @property
    def position(self) -> str:
        return self.last_id if self.serial is None else f"{self.last_id}/{self.serial}"


class RedisSource:
    """The Redis streams of a pipeline."""

    def __init__(self, url: str, *, pipeline: str) -> None:
        self._pipeline = pipeline
        self._address = RedisAddress(url)
        self._opened: Any = None  # the client types each answer for both of its protocols

    def open(self, start: Start, *, stream: str | None, until_end: bool) -> RedisFeed:
        """Begin a pass over all streams, or over one."""
        if isinstance(start, Cursor):
            check_cursor(start, "redis", self._pipeline)
        try:
            with _refusals_translated():
                client = self._client()
            feed = RedisFeed(client, start, pipeline=self._pipeline, stream=stream, clustered=self._address.is_cluster)
            feed.begin(until_end=until_end)
        except _AWAY as error:
            raise SourceUnavailableError(f"Redis does not answer: {error}") from error
        return feed

    def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            self._opened.close()

    def _client(self) -> Any:  # noqa: ANN401 - as above
        if self._opened is None:
            self._opened = self._address.open(
                protocol=2,
                socket_timeout=_TIMEOUT_S,
                socket_connect_timeout=_TIMEOUT_S,
                retry=Retry(NoBackoff(), 0),  # the feed tries again itself, without blocking its caller
            )
        return self._opened


class RedisFeed:
    """One pass over the streams of a pipeline."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - as above
        start: Start,
        *,
        pipeline: str,
        stream: str | None,
        clustered: bool = False,
    ) -> None:
        self._client = client
        self._clustered = clustered
        self._pipeline = pipeline
        self._only = stream
        self._start = start
        self._unseen = dict(start.positions) if isinstance(start, Cursor) else {}  # of the cursor, not yet discovered
        self._begin: dict[str, str] = {}
        self._places: dict[str, _FeedPosition] = {}
        self._until_end = False
        self._pause = _Pause(pipeline)
        self._discover_at_s = 0.0

    def begin(self, *, until_end: bool) -> None:
        """Find the streams there are; to be called once, before `poll`."""
        self._until_end = until_end
        with _refusals_translated():
            self._discover(first=True)
            if self._start == "now" or until_end:
                self._look_at_ends()

    def poll(self, timeout_s: float) -> Sequence[FeedEvent]:
        """Return what there is; an absent server is waited for."""
        if self.done() or self._pause.waits(timeout_s):
            return ()
        try:
            with _refusals_translated():
                events = self._read(timeout_s)
        except _AWAY as error:
            self._pause.lengthen(error)
            return ()
        self._pause.end()
        return events

    def done(self) -> bool:
        """Say whether every stream is read to the end that was asked for at the start."""
        return self._until_end and not self._wanted()

    def cursor(self, read: Mapping[str, str]) -> Cursor:
        """Return the positions of all streams known to this pass; one that is not named has not been read."""
        known = {stream: position for stream, position in read.items() if stream in self._begin}
        return Cursor("redis", self._pipeline, self._unseen | self._begin | known)

    def close(self) -> None:
        """Do nothing: the connections are the source's."""

    def _discover(self, *, first: bool = False) -> None:
        """Take in streams that appeared, and let go of those whose keys have expired."""
        names = {self._only} if self._only else set(self._listed())
        for stream in sorted(names - self._places.keys()):
            place = self._first_place(stream, first=first)
            self._places[stream], self._begin[stream] = place, place.position
        for stream in self._places.keys() - names:
            del self._places[stream], self._begin[stream]
        self._discover_at_s = time.monotonic() + _DISCOVER_EVERY_S

    def _listed(self) -> Iterable[str]:
        return (name.decode() for name in self._client.zrange(redis_streams_key(self._pipeline), 0, -1))

    def _first_place(self, stream: str, *, first: bool) -> _FeedPosition:
        if stream in self._unseen:
            return _parse_position(self._unseen.pop(stream))
        if isinstance(self._start, int):
            before_ms = self._start // NS_PER_MS - 1
            return _FeedPosition(_BEGINNING if before_ms < 0 else f"{before_ms}-{_LAST_SEQUENCE}")
        # Nothing of it has been read, so its first serial number must be 1; but who asks for all there is takes what
        # is left of the streams that are there already.
        return _FeedPosition(_BEGINNING, None if first and self._start is None else 0)

    def _look_at_ends(self) -> None:
        """Ask for the last entry of each stream: where to end, or where to begin."""
        pipe = self._client.pipeline(transaction=False)
        for stream in self._places:
            pipe.xrevrange(redis_results_key(self._pipeline, stream), count=1)
        for (stream, place), last in zip(self._places.items(), pipe.execute(), strict=True):
            if not last:
                continue
            entry_id, fields = last[0]
            if self._start == "now":
                place.last_id, place.serial = entry_id.decode(), _serial(fields)
                self._begin[stream] = place.position
            elif _order(place.last_id) < _order(entry_id.decode()):
                place.end_id = entry_id.decode()

    def _wanted(self) -> dict[str, _FeedPosition]:
        if not self._until_end:
            return self._places
        return {stream: place for stream, place in self._places.items() if place.end_id}

    def _read(self, timeout_s: float) -> list[FeedEvent]:
        if not self._until_end and time.monotonic() >= self._discover_at_s:
            self._discover()
        wanted = self._wanted()
        if not wanted:
            time.sleep(min(timeout_s, max(0.0, self._discover_at_s - time.monotonic())))
            return []
        count = max(1, min(_ENTRIES_PER_STREAM, _ENTRIES_PER_POLL // len(wanted)))
        heard = (self._by_slot if self._clustered else self._at_once)(wanted, count, timeout_s)
        if self._until_end:
            for stream in wanted.keys() - heard.keys():
                wanted[stream].end_id = None  # what was left before the end is trimmed away
        return [event for stream, entries in heard.items() for event in self._events(stream, entries)]

    def _at_once(self, wanted: Mapping[str, _FeedPosition], count: int, timeout_s: float) -> dict[str, _Entries]:
        """Let the server wait for entries of any stream."""
        key_of = {redis_results_key(self._pipeline, stream): stream for stream in wanted}
        after = {key: wanted[stream].last_id for key, stream in key_of.items()}
        # No waiting for what is not there when only what is there is wanted; and never 0 ms, which means for ever.
        block_ms = None if self._until_end else max(1, int(timeout_s * _MS_PER_S))
        reply = self._client.xread(after, count=count, block=block_ms) or []
        return {key_of[key.decode()]: entries for key, entries in reply}

    def _by_slot(self, wanted: Mapping[str, _FeedPosition], count: int, timeout_s: float) -> dict[str, _Entries]:
        """Look again and again: in a cluster each stream lies on a slot of its own, and one can wait on one slot only.

        One look is one round trip to each server, whatever the number of streams.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            pipe = self._client.pipeline(transaction=False)
            for stream, place in wanted.items():
                pipe.xrange(redis_results_key(self._pipeline, stream), min=f"({place.last_id}", count=count)
            heard = {stream: entries for stream, entries in zip(wanted, pipe.execute(), strict=True) if entries}
            left_s = deadline_s - time.monotonic()
            if heard or self._until_end or left_s <= 0:
                return heard
            time.sleep(min(_LOOK_EVERY_S, left_s))

    def _events(self, stream: str, entries: _Entries) -> Iterator[FeedEvent]:
        place = self._places[stream]
        for entry_id, fields in entries:
            if self._until_end and place.end_id is None:
                return  # published after this pass began
            serial = _serial(fields)
            missed = _missed(place.serial, serial)
            if missed:
                yield Gap(stream, place.position, missed)
            place.last_id, place.serial = entry_id.decode(), serial
            if place.end_id and _order(place.last_id) >= _order(place.end_id):
                place.end_id = None
            yield _parsed(stream, place.position, fields)


class _Pause:
    """The growing pauses in which a server that is away is left alone."""

    def __init__(self, pipeline: str) -> None:
        self._pipeline = pipeline
        self._length_s = 0.0
        self._until_s = 0.0

    def waits(self, timeout_s: float) -> bool:
        """Sleep for what is left of the pause, at most the time-out; say whether there was any."""
        left_s = self._until_s - time.monotonic()
        if left_s > 0:
            time.sleep(min(timeout_s, left_s))
        return left_s > 0

    def lengthen(self, error: RedisError) -> None:
        """Begin the next pause."""
        if not self._length_s:
            log.warning("redis_is_away", pipeline=self._pipeline, error=str(error))
        self._length_s = min(_LONGEST_PAUSE_S, self._length_s * 2 or _FIRST_PAUSE_S)
        # With jitter, or all subscribers come back in the same instant.
        self._until_s = time.monotonic() + self._length_s * random.uniform(0.5, 1)  # noqa: S311 - no secret

    def end(self) -> None:
        """Note that the server answered."""
        if self._length_s:
            log.info("redis_is_back", pipeline=self._pipeline)
        self._length_s = 0.0


def _parsed(stream: str, position: str, fields: Mapping[bytes, bytes]) -> FeedEvent:
    document = fields.get(b"result")
    if document is None:
        lacking = MalformedRecordError("result", "a field with the result's JSON", sorted(fields))
        return Malformed(stream, position, lacking)
    try:
        result = parse_result(document)
    except MalformedRecordError as error:
        return Malformed(stream, position, error)
    if result.stream != stream:
        strange = MalformedRecordError("value.stream", f"the key's stream {stream!r}", result.stream)
        return Malformed(stream, position, strange)
    return Found(stream, position, result, document)


def _serial(fields: Mapping[bytes, bytes]) -> int | None:
    text = fields.get(b"serial", b"")
    return int(text) if text.isdigit() else None


def _missed(before: int | None, serial: int | None) -> int:
    """Return how many entries are missing between two serial numbers; they start at 1 when a stream begins anew."""
    if before is None or serial is None:
        return 0
    return serial - before - 1 if serial > before else serial - 1


def _order(entry_id: str) -> tuple[int, int]:
    moment, _, sequence = entry_id.partition("-")
    return int(moment), int(sequence)


def _parse_position(position: str) -> _FeedPosition:
    read = _POSITION.match(position)
    if read is None:
        raise UsageError(f"since: expected a cursor with ids of Redis entries, got {position!r} in it")
    return _FeedPosition(read[1], None if read[2] is None else int(read[2]))


@contextmanager
def _refusals_translated() -> Iterator[None]:
    """Let pass the errors that mean "away", and turn the others into ours."""
    try:
        yield
    except _REFUSED as error:
        raise SourceError(f"Redis refused the user or password of redis.url: {error}") from error
    except _AWAY as error:
        if is_sentinel_login_failure(error):
            raise SourceError(
                f"the Sentinels refused us; see redis.sentinel_username and redis.sentinel_password_file: {error}"
            ) from error
        if is_untrusted_certificate(error):
            raise SourceError(f"Redis' certificate is not one we trust; see redis.ssl_ca_file: {error}") from error
        raise
    except RedisClusterException as error:  # none of its own errors: a slot without a server, for one
        raise ClusterDownError(str(error)) from error
    except RedisError as error:
        raise SourceError(f"Redis does not give the results: {error}") from error
