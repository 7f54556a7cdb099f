"""Results in Redis: one Lua script for each result, one round trip for a batch.

What lies where (`triptych.schemas.names` has the keys; `{stream}` is a hash tag, so a script's keys share a slot):

- `PIPELINE:results:{stream}`: a Redis stream of about `max_results` entries, fields `result` (the JSON) and `serial`
  (counts up by one, so that a subscriber sees by how much it fell behind the trimming).
- `PIPELINE:latest:{stream}`: the JSON of the newest window's newest revision, for `latest_ttl_s`.
- `PIPELINE:index:{stream}`: the ids that are known. It is scored by *publication* and not by window end: what has to
  be forgotten first is what was published first, else a film played again under an older date would be forgotten
  while it is written, and its repeats taken for new.
- `PIPELINE:marks:{stream}`: how far the index has forgotten, so that an older repeat is refused all the same.
- `PIPELINE:streams`: the streams; on a slot of its own, so written apart.

It may be one server, what Sentinels call the master, or a cluster (`triptych.service.redis_client`).
The server must not evict keys (`maxmemory-policy noeviction`): an evicted index would let repeats in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.resources import files
from typing import Any, Final, Self

from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from triptych.schemas.errors import UsageError
from triptych.schemas.names import (
    redis_index_key,
    redis_latest_key,
    redis_marks_key,
    redis_results_key,
    redis_streams_key,
)
from triptych.service.redis_client import RedisAddress, distrusts, refused_by_sentinel
from triptych.worker.publishing.stores.errors import StoreRefusedError, StoreUnavailableError
from triptych.worker.publishing.stores.protocol import StoredResult, StoreLimits

_TIMEOUT_S: Final = 5.0
# One quiet repeat mends a connection that died while idle; a server that is away is the caller's affair.
_RETRIES: Final = 1
_HEALTH_CHECK_S: Final = 15
_REFUSED: Final = (AuthenticationError, AuthorizationError)  # both are connection errors to the client: they come first
_UNAVAILABLE: Final = (
    RedisConnectionError,
    RedisTimeoutError,
    BusyLoadingError,
    ClusterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)


class _Script:
    """A Lua script of this package and the name by which the server knows it."""

    def __init__(self, name: str) -> None:
        self.text: Final = files(__package__).joinpath(name).read_text(encoding="utf-8")
        self.sha: Final = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class RedisStore:
    """Keep results in Redis; safe to call again with the same batch, from any number of workers."""

    def __init__(
        self,
        open_client: Callable[[], Any],
        *,
        pipeline: str,
        limits: StoreLimits | None = None,
        clustered: bool = False,
    ) -> None:
        """Open the client when it is needed.

        Args:
            open_client: makes the client; that of a cluster asks its servers at once.
            pipeline: the prefix of the keys.
            limits: how much is kept, and for how long.
            clustered: whether keys lie on several servers.
        """
        self._open_client = open_client
        self._opened: Any = None  # the client types each answer for both of its protocols
        self._clustered = clustered
        self._pipeline = pipeline
        self._limits = limits or StoreLimits()
        self._store = _Script("store_result.lua")
        self._register = _Script("register_streams.lua")

    @classmethod
    def connect(cls, url: str, *, pipeline: str, limits: StoreLimits | None = None) -> Self:
        """Build a store on the server at `url`; nothing is sent yet.

        Raises `StoreRefusedError` where the URL cannot be read.
        """
        try:
            address = RedisAddress(url)
        except UsageError as error:
            raise StoreRefusedError(str(error)) from None
        retry = Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), _RETRIES)
        open_client = partial(
            address.open,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            health_check_interval=_HEALTH_CHECK_S,
            retry=retry,
        )
        return cls(open_client, pipeline=pipeline, limits=limits, clustered=address.is_cluster)

    def write(self, batch: Sequence[StoredResult]) -> tuple[bool, ...]:
        """Keep what is new; say for each whether it was."""
        if not batch:
            return ()
        with _translated():
            pipe = self._client().pipeline(transaction=False)
            scripts = self._load_scripts(pipe)
            for stored in batch:
                self._add(pipe, stored)
            streams = dict.fromkeys(stored.result.stream for stored in batch)
            self._call(pipe, self._register, [redis_streams_key(self._pipeline)], [self._limits.key_ttl_s, *streams])
            answers = pipe.execute()
        return tuple(answer == 1 for answer in answers[scripts:-1])

    def ping(self) -> None:
        """Return when the server answers."""
        with _translated():
            self._client().ping()

    def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            self._opened.close()

    def _client(self) -> Any:  # noqa: ANN401 - as above
        if self._opened is None:
            self._opened = self._open_client()
        return self._opened

    def _load_scripts(self, pipe: Any) -> int:  # noqa: ANN401 - as above
        """Let the scripts travel with the batch; return how many answers of it are theirs.

        By text once and by name for each result: a server that was started again has forgotten them, and asking whether
        it has would cost a round trip. In a cluster each server needs them, which a batch cannot do.
        """
        texts = [self._store.text, self._register.text]
        for text in texts:
            if self._clustered:
                self._client().script_load(text)
            else:
                pipe.execute_command("SCRIPT LOAD", text)
        return 0 if self._clustered else len(texts)

    def _add(self, pipe: Any, stored: StoredResult) -> None:  # noqa: ANN401 - the client's own pipeline type is not typed
        stream, limits = stored.result.stream, self._limits
        key_of = (redis_index_key, redis_results_key, redis_latest_key, redis_marks_key)
        keys = [key(self._pipeline, stream) for key in key_of]
        moments = [stored.published_ms, stored.end_ms]
        bounds = [limits.max_results, limits.latest_ttl_s, limits.key_ttl_s]
        self._call(pipe, self._store, keys, [stored.result.id, *moments, stored.document, *bounds])

    @staticmethod
    def _call(pipe: Any, script: _Script, keys: Sequence[str], values: Sequence[str | int | bytes]) -> None:  # noqa: ANN401 - as above
        # By its name, since a cluster's client blocks the method though it sends the command well.
        pipe.execute_command("EVALSHA", script.sha, len(keys), *keys, *values)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the client's errors into ours, by what the caller does next."""
    try:
        yield
    except _REFUSED as error:
        raise StoreRefusedError(f"Redis refused the user or password of redis.url: {error}") from error
    except _UNAVAILABLE as error:
        if refused_by_sentinel(error):
            raise StoreRefusedError(
                f"the Sentinels refused us; see redis.sentinel_username and redis.sentinel_password_file: {error}"
            ) from error
        if distrusts(error):
            raise StoreRefusedError(
                f"Redis' certificate is not one that we trust; see redis.ssl_ca_file: {error}"
            ) from error
        raise StoreUnavailableError(f"Redis did not take the results: {error}") from error
    except RedisClusterException as error:  # none of its own errors: a slot without a server, for one
        raise StoreUnavailableError(f"the Redis cluster did not take the results: {error}") from error
    except RedisError as error:
        raise StoreRefusedError(f"Redis will not take the results: {error}") from error
