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
from triptych.service.redis_client import RedisAddress, is_sentinel_login_failure, is_untrusted_certificate
from triptych.worker.publishing.stores.errors import StoreRefusedError, StoreUnavailableError
from triptych.worker.publishing.stores.protocol import StoredResult, StoreLimits

_TIMEOUT_S: Final = 5.0
# One silent retry replaces a connection that died while idle. The caller handles a server that is unavailable.
_RETRIES: Final = 1
_HEALTH_CHECK_S: Final = 15
_REFUSED: Final = (AuthenticationError, AuthorizationError)  # subclasses of ConnectionError: match them first
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
    """A Lua script of this package, and its SHA-1 digest, by which the server knows it."""

    def __init__(self, name: str) -> None:
        self.text: Final = files(__package__).joinpath(name).read_text(encoding="utf-8")
        self.sha: Final = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class RedisStore:
    """Keeps results in Redis. Several workers may write the same batch, at the same time or again later."""

    def __init__(
        self,
        open_client: Callable[[], Any],
        *,
        pipeline: str,
        limits: StoreLimits | None = None,
        clustered: bool = False,
    ) -> None:
        """Create a store that opens its client on first use.

        Args:
            open_client: returns the client. A cluster client connects at once.
            pipeline: prefix of the keys.
            limits: how much to keep, and for how long.
            clustered: whether the keys are spread over several servers.
        """
        self._open_client = open_client
        self._opened: Any = None  # redis-py's types cover both of its protocols, and are of little use
        self._clustered = clustered
        self._pipeline = pipeline
        self._limits = limits or StoreLimits()
        self._store = _Script("store_result.lua")
        self._register = _Script("register_streams.lua")

    @classmethod
    def connect(cls, url: str, *, pipeline: str, limits: StoreLimits | None = None) -> Self:
        """Return a store on the server at `url`. Nothing is sent yet.

        Raises:
            StoreRefusedError: the URL is invalid.
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
        """Store new results. Return, for each, whether it was new. See `ResultStore.write`."""
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
        """Add the scripts to the batch. Return the number of replies in the batch that belong to them.

        Each batch loads the scripts, because a restarted server has lost them and asking would take a round trip. In a
        cluster every server needs them, so they are loaded outside of the batch.
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
        times_ms = [stored.published_ms, stored.end_ms]
        bounds = [limits.max_results, limits.latest_ttl_s, limits.key_ttl_s]
        self._call(pipe, self._store, keys, [stored.result.id, *times_ms, stored.document, *bounds])

    @staticmethod
    def _call(pipe: Any, script: _Script, keys: Sequence[str], values: Sequence[str | int | bytes]) -> None:  # noqa: ANN401 - as above
        # Not `pipe.evalsha`: redis-py's cluster pipeline blocks that method, although the command works.
        pipe.execute_command("EVALSHA", script.sha, len(keys), *keys, *values)


@contextmanager
def _translated() -> Iterator[None]:
    """Translate redis-py's errors into those of `ResultStore`."""
    try:
        yield
    except _REFUSED as error:
        raise StoreRefusedError(f"Redis refused the user or password of redis.url: {error}") from error
    except _UNAVAILABLE as error:
        if is_sentinel_login_failure(error):
            raise StoreRefusedError(
                "the Sentinels refused the user or password; see redis.sentinel_username and "
                f"redis.sentinel_password_file: {error}"
            ) from error
        if is_untrusted_certificate(error):
            raise StoreRefusedError(
                f"Redis' certificate is not signed by a trusted authority; see redis.ssl_ca_file: {error}"
            ) from error
        raise StoreUnavailableError(f"Redis did not store the results: {error}") from error
    except RedisClusterException as error:  # not a RedisError; raised for a slot without a server, for example
        raise StoreUnavailableError(f"the Redis cluster did not store the results: {error}") from error
    except RedisError as error:
        raise StoreRefusedError(f"Redis rejects the results: {error}") from error
