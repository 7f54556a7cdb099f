"""Results from the Redis streams of a pipeline, including streams that appear later."""

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
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry

from triptych.consumers.subscription.cursor import Cursor, Start, check_cursor
from triptych.consumers.subscription.result_source import (
    FeedEvent,
    Gap,
    MalformedEvent,
    ResultEvent,
    SourceError,
    SourceUnavailableError,
)
from triptych.schemas.codec import parse_result
from triptych.schemas.errors import MalformedRecordError, UsageError
from triptych.schemas.names import redis_results_key, redis_streams_key
from triptych.service.redis_client import RedisAddress
from triptych.service.redis_errors import RedisFailureKind, redis_failure
from triptych.units import NS_PER_MS

log = structlog.get_logger(__name__)

_TIMEOUT_S: Final = 5.0
_DISCOVERY_INTERVAL_S: Final = 1.0
_CLUSTER_POLL_INTERVAL_S: Final = 0.05
_MIN_BACKOFF_S: Final = 0.1
_MAX_BACKOFF_S: Final = 5.0
_ENTRIES_PER_POLL: Final = 1_000
_ENTRIES_PER_STREAM: Final = 100
_MS_PER_S: Final = 1_000
_MAX_SEQUENCE: Final = 2**64 - 1
_FIRST_ID: Final = "0-0"
_POSITION: Final = re.compile(r"^([0-9]{1,20}-[0-9]{1,20})(?:/([0-9]{1,19}))?$", re.ASCII)
_SOURCE_ERRORS: Final = {
    RedisFailureKind.LOGIN: "Redis refused the user or password of redis.url",
    RedisFailureKind.SENTINEL_LOGIN: "the Sentinels refused the login; see redis.sentinel_username, "
    "redis.sentinel_password_file",
    RedisFailureKind.CERTIFICATE: "the certificate of Redis is not trusted; see redis.ssl_ca_file",
    RedisFailureKind.REJECTED: "Redis could not return the results",
}

_Entries = Iterable[tuple[bytes, Mapping[bytes, bytes]]]


@dataclass(slots=True)
class _StreamPosition:
    """How far a stream is read: the last entry's id, its serial number if known, and the id of the entry to end at."""

    last_id: str
    serial: int | None = None
    end_id: str | None = None

    @property
    def as_text(self) -> str:
        return self.last_id if self.serial is None else f"{self.last_id}/{self.serial}"


class RedisSource:
    """The Redis streams of a pipeline (see `ResultSource`)."""

    def __init__(self, url: str, *, pipeline: str) -> None:
        self._pipeline = pipeline
        self._address = RedisAddress(url)
        self._opened: Any = None  # the client's types cover both protocols, so each reply is a union

    def open(self, start: Start, *, stream: str | None, until_end: bool, until: Cursor | None = None) -> RedisFeed:
        """Start a feed over all streams, or over one."""
        for cursor in (start, until):
            if isinstance(cursor, Cursor):
                check_cursor(cursor, "redis", self._pipeline)
        with _required():
            with _translated_errors():
                client = self._client()
            feed = RedisFeed(client, start, pipeline=self._pipeline, stream=stream, clustered=self._address.is_cluster)
            feed.begin(until_end=until_end, until=until)
        return feed

    def streams(self) -> tuple[str, ...]:
        """Return the streams that have results."""
        with _required(), _translated_errors():
            return tuple(name.decode() for name in self._client().zrange(redis_streams_key(self._pipeline), 0, -1))

    def newest_ns(self, stream: str) -> int | None:
        """Return the publication time of a stream's newest result; None if it has none that is valid."""
        with _required(), _translated_errors():
            entries = self._client().xrevrange(redis_results_key(self._pipeline, stream), count=1)
        for entry_id, fields in entries:
            event = _parsed(stream, entry_id.decode(), fields)
            return event.result.published_ns if isinstance(event, ResultEvent) else None
        return None

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
                retry=Retry(NoBackoff(), 0),  # the feed retries by itself, without blocking its caller
            )
        return self._opened


class RedisFeed:
    """One pass over the streams of a pipeline (see `ResultFeed`)."""

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
        self._unseen = dict(start.positions) if isinstance(start, Cursor) else {}  # in the cursor, not yet discovered
        self._begin: dict[str, str] = {}
        self._streams: dict[str, _StreamPosition] = {}
        self._until_end = False
        self._backoff = _Backoff(pipeline)
        self._next_discovery_s = 0.0

    def begin(self, *, until_end: bool, until: Cursor | None = None) -> None:
        """Discover the streams that exist. Call once, before `poll`."""
        self._until_end = until_end or until is not None
        with _translated_errors():
            self._discover(first=True)
            if self._start == "now" or (until_end and until is None):
                self._query_ends()
        if until is not None:
            self._take_ends(until)

    def poll(self, timeout_s: float) -> Sequence[FeedEvent]:
        """Return the next events. While the server is unavailable, wait with backoff and return none."""
        if self.done() or self._backoff.wait(timeout_s):
            return ()
        try:
            with _translated_errors():
                events = self._read(timeout_s)
        except RedisConnectionError as error:
            self._backoff.increase(error)
            return ()
        self._backoff.reset()
        return events

    def done(self) -> bool:
        """Return whether every stream is read up to its end, if the feed has one."""
        return self._until_end and not self._unfinished()

    def cursor(self, read: Mapping[str, str]) -> Cursor:
        """Return the cursor over all known streams. A stream that it does not name has not been read yet."""
        known = {stream: position for stream, position in read.items() if stream in self._begin}
        return Cursor("redis", self._pipeline, self._unseen | self._begin | known)

    def close(self) -> None:
        """Do nothing: the source owns the connections."""

    def _discover(self, *, first: bool = False) -> None:
        """Add streams that appeared, and drop streams whose keys have expired."""
        names = {self._only} if self._only else set(self._stream_names())
        for stream in sorted(names - self._streams.keys()):
            start = self._start_position(stream, first=first)
            self._streams[stream], self._begin[stream] = start, start.as_text
        for stream in self._streams.keys() - names:
            del self._streams[stream], self._begin[stream]
        self._next_discovery_s = time.monotonic() + _DISCOVERY_INTERVAL_S

    def _stream_names(self) -> Iterable[str]:
        return (name.decode() for name in self._client.zrange(redis_streams_key(self._pipeline), 0, -1))

    def _start_position(self, stream: str, *, first: bool) -> _StreamPosition:
        if stream in self._unseen:
            return _parse_position(self._unseen.pop(stream))
        if isinstance(self._start, int):
            before_ms = self._start // NS_PER_MS - 1
            return _StreamPosition(_FIRST_ID if before_ms < 0 else f"{before_ms}-{_MAX_SEQUENCE}")
        # Nothing of the stream has been read, so its first serial number must be 1. But a subscription to everything
        # takes what is left of the streams that exist already.
        return _StreamPosition(_FIRST_ID, None if first and self._start is None else 0)

    def _query_ends(self) -> None:
        """Query the last entry of each stream: where to end, or where to start."""
        pipe = self._client.pipeline(transaction=False)
        for stream in self._streams:
            pipe.xrevrange(redis_results_key(self._pipeline, stream), count=1)
        for (stream, position), last in zip(self._streams.items(), pipe.execute(), strict=True):
            if not last:
                continue
            entry_id, fields = last[0]
            if self._start == "now":
                position.last_id, position.serial = entry_id.decode(), _serial(fields)
                self._begin[stream] = position.as_text
            elif _order(position.last_id) < _order(entry_id.decode()):
                position.end_id = entry_id.decode()

    def _take_ends(self, until: Cursor) -> None:
        """End each stream at its position in a cursor."""
        for stream in self._streams.keys() & until.positions.keys():
            position, end = self._streams[stream], _parse_position(until.positions[stream])
            if _order(position.last_id) < _order(end.last_id):
                position.end_id = end.last_id

    def _unfinished(self) -> dict[str, _StreamPosition]:
        if not self._until_end:
            return self._streams
        return {stream: position for stream, position in self._streams.items() if position.end_id}

    def _read(self, timeout_s: float) -> list[FeedEvent]:
        if not self._until_end and time.monotonic() >= self._next_discovery_s:
            self._discover()
        unfinished = self._unfinished()
        if not unfinished:
            time.sleep(min(timeout_s, max(0.0, self._next_discovery_s - time.monotonic())))
            return []
        count = max(1, min(_ENTRIES_PER_STREAM, _ENTRIES_PER_POLL // len(unfinished)))
        read = self._poll_by_slot if self._clustered else self._read_blocking
        entries_of = read(unfinished, count, timeout_s)
        if self._until_end:
            for stream in unfinished.keys() - entries_of.keys():
                unfinished[stream].end_id = None  # the entries before the end were trimmed
        return [event for stream, entries in entries_of.items() for event in self._events(stream, entries)]

    def _read_blocking(
        self, positions: Mapping[str, _StreamPosition], count: int, timeout_s: float
    ) -> dict[str, _Entries]:
        """Let the server block until any stream has entries."""
        key_of = {redis_results_key(self._pipeline, stream): stream for stream in positions}
        after = {key: positions[stream].last_id for key, stream in key_of.items()}
        # With `until_end` there is nothing to wait for. Never block for 0 ms: to Redis that means forever.
        block_ms = None if self._until_end else max(1, int(timeout_s * _MS_PER_S))
        reply = self._client.xread(after, count=count, block=block_ms) or []
        return {key_of[key.decode()]: entries for key, entries in reply}

    def _poll_by_slot(
        self, positions: Mapping[str, _StreamPosition], count: int, timeout_s: float
    ) -> dict[str, _Entries]:
        """Poll repeatedly: in a cluster each stream has its own slot, and a client can block on one slot only.

        Each poll takes one round trip per server, however many streams there are.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            pipe = self._client.pipeline(transaction=False)
            for stream, position in positions.items():
                pipe.xrange(redis_results_key(self._pipeline, stream), min=f"({position.last_id}", count=count)
            replies = zip(positions, pipe.execute(), strict=True)
            entries_of = {stream: entries for stream, entries in replies if entries}
            left_s = deadline_s - time.monotonic()
            if entries_of or self._until_end or left_s <= 0:
                return entries_of
            time.sleep(min(_CLUSTER_POLL_INTERVAL_S, left_s))

    def _events(self, stream: str, entries: _Entries) -> Iterator[FeedEvent]:
        position = self._streams[stream]
        for entry_id, fields in entries:
            if position.end_id and _order(entry_id.decode()) > _order(position.end_id):
                position.end_id = None  # the entry at the end was trimmed
            if self._until_end and position.end_id is None:
                return  # published after this feed was opened
            serial = _serial(fields)
            missed = _missed(position.serial, serial)
            if missed:
                yield Gap(stream, position.as_text, missed)
            position.last_id, position.serial = entry_id.decode(), serial
            if position.end_id and _order(position.last_id) >= _order(position.end_id):
                position.end_id = None
            yield _parsed(stream, position.as_text, fields)


class _Backoff:
    """The delays between attempts to reach an unavailable server."""

    def __init__(self, pipeline: str) -> None:
        self._pipeline = pipeline
        self._delay_s = 0.0
        self._until_s = 0.0

    def wait(self, timeout_s: float) -> bool:
        """Sleep for the rest of the delay, at most `timeout_s`; return whether there was a delay."""
        left_s = self._until_s - time.monotonic()
        if left_s > 0:
            time.sleep(min(timeout_s, left_s))
        return left_s > 0

    def increase(self, error: RedisError) -> None:
        """Start the next, longer delay."""
        if not self._delay_s:
            log.warning("redis_unavailable", pipeline=self._pipeline, error=str(error))
        self._delay_s = min(_MAX_BACKOFF_S, self._delay_s * 2 or _MIN_BACKOFF_S)
        # With jitter, so that subscribers do not reconnect all at once.
        self._until_s = time.monotonic() + self._delay_s * random.uniform(0.5, 1)  # noqa: S311 - no secret

    def reset(self) -> None:
        """End the delays: the server answered."""
        if self._delay_s:
            log.info("redis_available_again", pipeline=self._pipeline)
        self._delay_s = 0.0


def _parsed(stream: str, position: str, fields: Mapping[bytes, bytes]) -> FeedEvent:
    document = fields.get(b"result")
    if document is None:
        missing = MalformedRecordError("result", "a field with the result's JSON", sorted(fields))
        return MalformedEvent(stream, position, missing)
    try:
        result = parse_result(document)
    except MalformedRecordError as error:
        return MalformedEvent(stream, position, error)
    if result.stream != stream:
        mismatch = MalformedRecordError("value.stream", f"the key's stream {stream!r}", result.stream)
        return MalformedEvent(stream, position, mismatch)
    return ResultEvent(stream, position, result, document)


def _serial(fields: Mapping[bytes, bytes]) -> int | None:
    text = fields.get(b"serial", b"")
    return int(text) if text.isdigit() else None


def _missed(before: int | None, serial: int | None) -> int:
    """Return how many entries are missing between two serial numbers. They restart at 1 when a stream is recreated."""
    if before is None or serial is None:
        return 0
    return serial - before - 1 if serial > before else serial - 1


def _order(entry_id: str) -> tuple[int, int]:
    time_ms, _, sequence = entry_id.partition("-")
    return int(time_ms), int(sequence)


def _parse_position(position: str) -> _StreamPosition:
    read = _POSITION.match(position)
    if read is None:
        raise UsageError(f"expected a cursor that holds ids of Redis entries, got {position!r} in it")
    return _StreamPosition(read[1], None if read[2] is None else int(read[2]))


@contextmanager
def _required() -> Iterator[None]:
    """Raise an error where the server is unavailable, instead of waiting for it."""
    try:
        yield
    except RedisConnectionError as error:
        raise SourceUnavailableError(f"Redis does not answer: {error}") from error


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Raise `RedisConnectionError` for all that passes by itself, and `SourceError` for the rest."""
    try:
        yield
    except (RedisError, RedisClusterException) as error:
        failure = redis_failure(error)
        if failure.kind is RedisFailureKind.UNAVAILABLE:
            raise RedisConnectionError(failure.text) from error
        raise SourceError(f"{_SOURCE_ERRORS[failure.kind]}: {failure.text}") from error
