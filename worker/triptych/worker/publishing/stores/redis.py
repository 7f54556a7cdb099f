"""A result store in Redis. One Lua script writes each result; a batch takes one round trip.

Keys (`triptych.schemas.names`; `{stream}` is a hash tag, so all keys of a script share a cluster slot):

- `PIPELINE:results:{stream}`: a Redis stream of about `max_results` entries with the fields `result` (the JSON
  document) and `serial` (a counter, from which a subscriber computes how many trimmed entries it missed).
- `PIPELINE:latest:{stream}`: the JSON document of the newest revision of the newest window, for `latest_ttl_s`.
- `PIPELINE:index:{stream}`: the known result ids, a sorted set scored by the time of *publication*. A score by window
  end would evict the results of a film that is played again under an older date while they are written, and would then
  accept their duplicates.
- `PIPELINE:marks:{stream}`: up to where ids were evicted from the index, so that duplicates of those are recognised.
- `PIPELINE:streams`: the names of the streams. It has its own slot, so a separate script writes it.

The store works with one server, a Sentinel master or a cluster (`triptych.service.redis_client`). The server must use
`maxmemory-policy noeviction`: without its index a stream would accept duplicates.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from typing import Any, Final, Self, TypeVar

from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry

from triptych.schemas.errors import UsageError
from triptych.schemas.names import (
    redis_index_key,
    redis_latest_key,
    redis_marks_key,
    redis_results_key,
    redis_streams_key,
)
from triptych.service.redis_client import RedisAddress
from triptych.service.redis_errors import RedisFailure, RedisFailureKind, redis_failure
from triptych.settings.redis import RedisSettings
from triptych.settings.section import SettingsError
from triptych.worker.publishing.stores.errors import StoreError, StoreRefusedError, StoreUnavailableError
from triptych.worker.publishing.stores.protocol import StoredResult, StoreLimits, StreamAge

_Answer = TypeVar("_Answer")

_TIMEOUT_S: Final = 5.0
# One silent retry replaces a connection that died while idle. The caller handles a server that is unavailable.
_RETRIES: Final = 1
_HEALTH_CHECK_S: Final = 15
_REDIS_ERRORS: Final = (RedisError, RedisClusterException)  # the second is no subclass of the first
_KEYS: Final = (redis_index_key, redis_results_key, redis_latest_key, redis_marks_key)  # in the order of the script
_TYPE_OF_KEY: Final = {redis_index_key: "zset", redis_results_key: "stream", redis_marks_key: "hash"}
_EXPIRED: Final = 2  # of the script `age_keys.lua`
_WRONG_TYPE: Final = "WRONGTYPE"
_WHERE_TO_LOOK: Final = {
    RedisFailureKind.LOGIN: "Redis refused the user or password of redis.url; see redis.password_file",
    RedisFailureKind.SENTINEL_LOGIN: "the Sentinels refused the user or password; see redis.sentinel_username and "
    "redis.sentinel_password_file",
    RedisFailureKind.CERTIFICATE: "Redis' certificate is not signed by a trusted authority; see redis.ssl_ca_file",
    RedisFailureKind.REJECTED: "Redis rejects the results",
}


class _Script:
    """A Lua script of this package, and its SHA-1 digest, by which the server knows it."""

    def __init__(self, name: str) -> None:
        self.text: Final = files(__package__).joinpath(name).read_text(encoding="utf-8")
        self.sha: Final = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class RedisStore:
    """Keeps results in Redis. Several workers may write the same batch, at the same time or again later.

    After an answer that passes by itself, all connections are closed: the next write connects again, and so finds the
    server that a load balancer, a Sentinel or DNS names now. A demoted primary would answer READONLY for ever.
    """

    def __init__(
        self,
        open_client: Callable[[], Any],
        *,
        pipeline: str,
        limits: StoreLimits | None = None,
        clustered: bool = False,
    ) -> None:
        """Create a store that opens its client on first use, and again after each failure.

        Args:
            open_client: returns the client. A cluster client connects at once. It may raise `SettingsError`.
            pipeline: prefix of the keys.
            limits: how much to keep, and for how long.
            clustered: whether the keys are spread over several servers.
        """
        self._open_client = open_client
        self._opened: Any = None  # redis-py's types cover both of its protocols, and are of little use
        self._opening = threading.Lock()
        self._has_written = False
        self._clustered = clustered
        self._pipeline = pipeline
        self._limits = limits or StoreLimits()
        self._store = _Script("store_result.lua")
        self._register = _Script("register_streams.lua")
        self._age = _Script("age_keys.lua")

    @classmethod
    def connect(cls, url: str | Callable[[], str], *, pipeline: str, limits: StoreLimits | None = None) -> Self:
        """Return a store on the server at `url`. Nothing is sent yet.

        Args:
            url: the URL, or a function that reads it. The function is called again for each new client, so a password
                may change while the worker runs.
            pipeline: prefix of the keys.
            limits: how much to keep, and for how long.

        Raises:
            StoreRefusedError: the URL is invalid.
            SettingsError: the function cannot read it.
        """
        read_url = url if callable(url) else lambda: url
        try:
            is_cluster = RedisAddress(read_url()).is_cluster
        except UsageError as error:
            raise StoreRefusedError(str(error)) from None
        retry = Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), _RETRIES)

        def open_client() -> Any:  # noqa: ANN401 - as in `RedisAddress.open`
            return RedisAddress(read_url()).open(
                socket_timeout=_TIMEOUT_S,
                socket_connect_timeout=_TIMEOUT_S,
                health_check_interval=_HEALTH_CHECK_S,
                retry=retry,
            )

        return cls(open_client, pipeline=pipeline, limits=limits, clustered=is_cluster)

    @classmethod
    def from_settings(cls, settings: RedisSettings, *, pipeline: str) -> Self:
        """Return a store as the settings describe it. Raises as `connect` does."""
        limits = StoreLimits(settings.results_maxlen, settings.latest_ttl_s, settings.key_ttl_s)
        return cls.connect(settings.full_url, pipeline=pipeline, limits=limits)

    def write(self, batch: Sequence[StoredResult]) -> tuple[bool, ...]:
        """Store new results. Return, for each, whether it was new. See `ResultStore.write`."""
        return self._run(lambda: self._write(batch), batch) if batch else ()

    def ping(self) -> None:
        """Return when the server accepts writes: a read-only replica also answers PING. Writes no result."""
        self._run(lambda: self._write(()), ())

    def age(self, ages: Sequence[StreamAge]) -> None:
        """Let the keys of streams expire when they would have expired, had they been written at publication.

        The keys of a stream to which a worker has written a newer result keep their expiry. Results that were left out
        count as evicted, so that a worker that writes the topic's tail again does not add them. Raises as `write` does.
        """
        if ages:
            self._run(lambda: self._age_keys(ages), ())

    def close(self) -> None:
        """Close the connections."""
        with self._opening:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _write(self, batch: Sequence[StoredResult]) -> tuple[bool, ...]:
        pipe = self._client().pipeline(transaction=False)
        scripts = self._load_scripts(pipe, self._store, self._register)
        for stored in batch:
            self._add(pipe, stored)
        streams = dict.fromkeys(stored.result.stream for stored in batch)
        self._call(pipe, self._register, [redis_streams_key(self._pipeline)], [self._limits.key_ttl_s, *streams])
        answers = pipe.execute()
        self._has_written = True
        return tuple(answer == 1 for answer in answers[scripts:-1])

    def _age_keys(self, ages: Sequence[StreamAge]) -> None:
        pipe = self._client().pipeline(transaction=False)
        scripts = self._load_scripts(pipe, self._age)
        for age in ages:
            keys = [key_of(self._pipeline, age.stream) for key_of in _KEYS]
            times_ms = [age.published_ms, age.latest_published_ms]
            limits_s = [self._limits.latest_ttl_s, self._limits.key_ttl_s]
            forgotten_ms = [age.forgotten_published_ms, age.forgotten_end_ms]
            self._call(pipe, self._age, keys, [*times_ms, *limits_s, *forgotten_ms])
        answers = pipe.execute()[scripts:]
        key = redis_streams_key(self._pipeline)
        expired = [age.stream for age, answer in zip(ages, answers, strict=True) if answer == _EXPIRED]
        if expired:
            self._client().zrem(key, *expired)
        kept = {age.stream: age.published_ms for age, answer in zip(ages, answers, strict=True) if answer == 1}
        if kept:
            self._client().zadd(key, kept, xx=True)

    def _client(self) -> Any:  # noqa: ANN401 - as above
        with self._opening:
            if self._opened is None:
                try:
                    self._opened = self._open_client()
                except SettingsError as error:
                    raise StoreUnavailableError(f"the login for Redis cannot be read: {error}") from error
            return self._opened

    def _run(self, write: Callable[[], _Answer], batch: Sequence[StoredResult]) -> _Answer:
        """Write or read. If the login fails, try once more with a URL read again: the password may have changed."""
        try:
            return write()
        except _REDIS_ERRORS as error:
            failure = redis_failure(error)
            if not failure.is_login:
                raise self._reaction(failure, batch) from error
            self.close()
        try:
            return write()
        except _REDIS_ERRORS as error:
            raise self._reaction(redis_failure(error), batch) from error

    def _reaction(self, failure: RedisFailure, batch: Sequence[StoredResult]) -> StoreError:
        """Return the error to raise. Close all connections, unless the worker ends anyway."""
        if failure.kind is RedisFailureKind.UNAVAILABLE:
            self.close()
            return StoreUnavailableError(f"Redis did not store the results: {failure.text}")
        if failure.is_login and self._has_written:
            self.close()
            return StoreUnavailableError(f"{_WHERE_TO_LOOK[failure.kind]}, which is read again: {failure.text}")
        where = "".join(f"; {key}" for key in self._keys_of_another_type(batch)) if failure.code == _WRONG_TYPE else ""
        return StoreRefusedError(f"{_WHERE_TO_LOOK[failure.kind]}{where}: {failure.text}")

    def _keys_of_another_type(self, batch: Sequence[StoredResult]) -> Iterator[str]:
        """Yield which keys of a batch hold something else than ours do. Redis' own answer names none."""
        streams = dict.fromkeys(stored.result.stream for stored in batch)
        expected = {redis_streams_key(self._pipeline): "zset"}
        for stream in streams:
            expected |= {key_of(self._pipeline, stream): kind for key_of, kind in _TYPE_OF_KEY.items()}
        try:
            found = {key: self._client().type(key).decode() for key in expected}
        except _REDIS_ERRORS:  # for example without the permission for TYPE
            yield f"one of the keys {', '.join(expected)} holds a value of another type"
            return
        for key, kind in found.items():
            if kind not in ("none", expected[key]):
                yield f"the key {key} holds a {kind}, expected a {expected[key]}: rename or delete it"

    def _load_scripts(self, pipe: Any, *scripts: _Script) -> int:  # noqa: ANN401 - as above
        """Add the scripts to the batch. Return the number of replies in the batch that belong to them.

        Each batch loads the scripts, because a restarted server has lost them and asking would take a round trip. In a
        cluster every server needs them, so they are loaded outside of the batch.
        """
        for script in scripts:
            if self._clustered:
                self._client().script_load(script.text)
            else:
                pipe.execute_command("SCRIPT LOAD", script.text)
        return 0 if self._clustered else len(scripts)

    def _add(self, pipe: Any, stored: StoredResult) -> None:  # noqa: ANN401 - the client's own pipeline type is not typed
        stream, limits = stored.result.stream, self._limits
        keys = [key_of(self._pipeline, stream) for key_of in _KEYS]
        times_ms = [stored.published_ms, stored.end_ms]
        bounds = [limits.max_results, limits.latest_ttl_s, limits.key_ttl_s]
        self._call(pipe, self._store, keys, [stored.result.id, *times_ms, stored.document, *bounds])

    @staticmethod
    def _call(pipe: Any, script: _Script, keys: Sequence[str], values: Sequence[str | int | bytes]) -> None:  # noqa: ANN401 - as above
        # Not `pipe.evalsha`: redis-py's cluster pipeline blocks that method, although the command works.
        pipe.execute_command("EVALSHA", script.sha, len(keys), *keys, *values)
