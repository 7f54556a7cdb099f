"""Opening a client of Redis by its URL: one server, the master that Sentinels name, or a cluster.

    redis://USER:PASSWORD@HOST:PORT/DB                                    one server; `rediss` with TLS
    redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE/DB         `rediss+sentinel`: TLS to Sentinels and master
    redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT                     `rediss+cluster`

The query may hold the client's own options: `?ssl_ca_certs=/etc/ca.pem`. Sentinels are asked without a password, unless
it holds `sentinel_password` (and `sentinel_username`): theirs are not the server's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.connection import SSLConnection, parse_url
from redis.exceptions import ClusterDownError, RedisClusterException, RedisError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from triptych.schemas.errors import UsageError

EXPECTED: Final = (
    "redis.url: expected redis://HOST:PORT/DB, redis+sentinel://HOST:PORT,HOST:PORT/SERVICE or "
    "redis+cluster://HOST:PORT,HOST:PORT (rediss with TLS), got one that cannot be read"
)
_parse_url: Final[Any] = parse_url  # these three carry no types
_Sentinel: Final[Any] = Sentinel
_Node: Final[Any] = ClusterNode
DEFAULT_PORT: Final = 6379
SENTINEL_PORT: Final = 26_379


def distrusts(error: Exception) -> bool:
    """Whether the server's certificate was not one that we trust: no reason to wait, though the client says so."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def refused_by_sentinel(error: Exception) -> bool:
    """Whether no Sentinel took our password; the client says only that it found no master."""
    return isinstance(error, MasterNotFoundError) and "AuthenticationError" in str(error)


class _RedisAddress(NamedTuple):
    """What a URL with several hosts says."""

    kind: str
    hosts: tuple[tuple[str, int], ...]
    path: tuple[str, ...]
    options: dict[str, Any]


class RedisAddress:
    """Where a Redis is, read from a URL; `open` connects."""

    def __init__(self, url: str) -> None:
        """Read the URL; raise `UsageError` where that is not possible."""
        try:
            self._place = _several(url) if "+" in url.partition("://")[0] else None
            if self._place is None:
                _refuse_sentinel_options(_parse_url(url))
        except ValueError as error:
            raise UsageError(f"{EXPECTED}: {error}") from None  # its traceback would show the password
        self._url = url

    @property
    def is_cluster(self) -> bool:
        """Whether keys lie on several servers."""
        return self._place is not None and self._place.kind == "cluster"

    def open(self, **options: Any) -> Any:  # noqa: ANN401 - a client of either type, and each types its answers for two protocols
        """Return a client with these options of redis-py.

        Only a cluster is asked anything yet; raises redis-py's `ConnectionError` where it does not answer.
        """
        if self._place is None:
            return Redis.from_url(self._url, **options)
        if self._place.kind == "sentinel":
            return _by_sentinel(self._place, options)
        return _cluster(self._place, options)


def _several(url: str) -> _RedisAddress:
    scheme, kind = urlsplit(url).scheme.split("+", 1)
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    # The login and the options are read as the client reads them for one server.
    alone = parts._replace(scheme=scheme, netloc=f"{login}@host" if login else "host", path="")
    options: dict[str, Any] = _parse_url(urlunsplit(alone))
    options["ssl"] = options.pop("connection_class", None) is SSLConnection
    del options["host"]
    port = SENTINEL_PORT if kind == "sentinel" else DEFAULT_PORT
    path = tuple(unquote(part) for part in parts.path.split("/") if part)
    if kind != "sentinel":
        _refuse_sentinel_options(options)
    if kind not in ("sentinel", "cluster") or (kind == "sentinel") != bool(path):
        raise ValueError(f"{scheme}+{kind}://…/{'/'.join(path)}")
    return _RedisAddress(kind, tuple(_host(host, port) for host in hosts.split(",")), path, options)


def _refuse_sentinel_options(options: Mapping[str, Any]) -> None:
    if any(name.startswith("sentinel_") for name in options):
        raise ValueError("sentinel_username and sentinel_password without a Sentinel")


def _host(text: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(f"no host in {text!r}")
    return parts.hostname, parts.port or default_port


def _by_sentinel(place: _RedisAddress, options: Mapping[str, Any]) -> Redis:
    service, *db = place.path
    ours = {**place.options, **options}
    login = {name: ours.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    asking = {name: value for name, value in ours.items() if name.startswith(("socket_", "ssl"))} | login
    asking["retry"] = Retry(NoBackoff(), 0)  # the next one is asked instead; the client's own would wait for seconds
    sentinel = _Sentinel(list(place.hosts), sentinel_kwargs=asking, **ours)
    master: Redis = sentinel.master_for(service, db=int(db[0]) if db else 0)
    return master


def _cluster(place: _RedisAddress, options: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as above
    ours = {**place.options, **options}
    try:
        return RedisCluster(startup_nodes=[_Node(host, port) for host, port in place.hosts], **ours)
    except RedisClusterException as error:
        # Not one of the client's own errors; what it wraps is.
        if isinstance(error.__cause__, RedisError):
            raise error.__cause__ from None
        if isinstance(error.__cause__, RedisClusterException):
            raise UsageError(f"redis.url: expected a cluster, got: {error.__cause__}") from None
        raise ClusterDownError(str(error)) from error
