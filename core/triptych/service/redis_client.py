"""Redis clients from a URL: for one server, for the master that Sentinels name, or for a cluster.

    redis://USER:PASSWORD@HOST:PORT/DB                                    one server; `rediss` with TLS
    redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE/DB         `rediss+sentinel`: TLS to Sentinels and master
    redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT                     `rediss+cluster`

The query may contain options of redis-py, such as `?ssl_ca_certs=/etc/ca.pem`. Sentinels have their own credentials:
`sentinel_username` and `sentinel_password` in the query.
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

_INVALID_URL: Final = (
    "redis.url: expected redis://HOST:PORT/DB, redis+sentinel://HOST:PORT,HOST:PORT/SERVICE or "
    "redis+cluster://HOST:PORT,HOST:PORT (rediss with TLS), got an invalid URL"
)
_parse_url: Final[Any] = parse_url  # redis-py has no types for these three
_Sentinel: Final[Any] = Sentinel
_Node: Final[Any] = ClusterNode
DEFAULT_PORT: Final = 6379
SENTINEL_PORT: Final = 26_379


def is_untrusted_certificate(error: Exception) -> bool:
    """Return whether certificate verification failed. redis-py reports it as a connection error; retrying is futile."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def is_sentinel_login_failure(error: Exception) -> bool:
    """Return whether the Sentinels rejected the password. redis-py reports only that it found no master."""
    return isinstance(error, MasterNotFoundError) and "AuthenticationError" in str(error)


class _MultiHostUrl(NamedTuple):
    """The parts of a URL with several hosts."""

    kind: str
    hosts: tuple[tuple[str, int], ...]
    path: tuple[str, ...]
    options: dict[str, Any]


class RedisAddress:
    """The address of a Redis installation, parsed from a URL."""

    def __init__(self, url: str) -> None:
        """Parse a URL.

        Raises:
            UsageError: the URL is invalid.
        """
        try:
            self._multi_host = _parse_multi_host_url(url) if "+" in url.partition("://")[0] else None
            if self._multi_host is None:
                _reject_sentinel_options(_parse_url(url))
        except ValueError as error:
            raise UsageError(f"{_INVALID_URL}: {error}") from None  # the traceback would contain the password
        self._url = url

    @property
    def is_cluster(self) -> bool:
        """Whether the URL names a cluster."""
        return self._multi_host is not None and self._multi_host.kind == "cluster"

    def open(self, **options: Any) -> Any:  # noqa: ANN401 - one of two client types, whose replies have no useful types
        """Return a client with these options of redis-py.

        A cluster client connects at once; the others connect on first use.

        Raises:
            redis.exceptions.ConnectionError: no server of the cluster answers.
            UsageError: the URL names a cluster, but the server is not part of one.
        """
        if self._multi_host is None:
            return Redis.from_url(self._url, **options)
        if self._multi_host.kind == "sentinel":
            return _open_sentinel(self._multi_host, options)
        return _open_cluster(self._multi_host, options)


def _parse_multi_host_url(url: str) -> _MultiHostUrl:
    scheme, kind = urlsplit(url).scheme.split("+", 1)
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    # redis-py parses the credentials and options, from a URL with a single host.
    single = parts._replace(scheme=scheme, netloc=f"{login}@host" if login else "host", path="")
    options: dict[str, Any] = _parse_url(urlunsplit(single))
    options["ssl"] = options.pop("connection_class", None) is SSLConnection
    del options["host"]
    port = SENTINEL_PORT if kind == "sentinel" else DEFAULT_PORT
    path = tuple(unquote(part) for part in parts.path.split("/") if part)
    if kind != "sentinel":
        _reject_sentinel_options(options)
    if kind not in ("sentinel", "cluster") or (kind == "sentinel") != bool(path):
        raise ValueError(f"{scheme}+{kind}://…/{'/'.join(path)}")
    return _MultiHostUrl(kind, tuple(_host(host, port) for host in hosts.split(",")), path, options)


def _reject_sentinel_options(options: Mapping[str, Any]) -> None:
    if any(name.startswith("sentinel_") for name in options):
        raise ValueError("sentinel_username and sentinel_password without a Sentinel")


def _host(text: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(f"no host in {text!r}")
    return parts.hostname, parts.port or default_port


def _open_sentinel(url: _MultiHostUrl, options: Mapping[str, Any]) -> Redis:
    service, *db = url.path
    master_options = {**url.options, **options}
    login = {name: master_options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    sentinel_options = {
        name: value for name, value in master_options.items() if name.startswith(("socket_", "ssl"))
    } | login
    # No retries: redis-py tries the next Sentinel instead. Its default retry would block for seconds.
    sentinel_options["retry"] = Retry(NoBackoff(), 0)
    sentinel = _Sentinel(list(url.hosts), sentinel_kwargs=sentinel_options, **master_options)
    master: Redis = sentinel.master_for(service, db=int(db[0]) if db else 0)
    return master


def _open_cluster(url: _MultiHostUrl, options: Mapping[str, Any]) -> Any:  # noqa: ANN401 - as above
    try:
        return RedisCluster(startup_nodes=[_Node(host, port) for host, port in url.hosts], **{**url.options, **options})
    except RedisClusterException as error:
        # It is not a RedisError, but its cause usually is.
        if isinstance(error.__cause__, RedisError):
            raise error.__cause__ from None
        if isinstance(error.__cause__, RedisClusterException):
            raise UsageError(f"redis.url: expected a cluster, got: {error.__cause__}") from None
        raise ClusterDownError(str(error)) from error
