"""What an error of Redis means for a program: wait, check the login, or stop.

Servers and proxies know more codes than any client, and most of them pass by themselves: a replica is promoted, a
script ends, a disk has room again. So an answer counts as temporary unless waiting cannot help.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    ClusterError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from triptych.service.redis_client import is_sentinel_login_failure, is_untrusted_certificate

_LOGIN_ERRORS: Final = (AuthenticationError, AuthenticationWrongNumberOfArgsError, AuthorizationError)
_AWAY_ERRORS: Final = (RedisConnectionError, RedisTimeoutError, ClusterError, OSError)
_CODE_OF: Final = {
    AskError: "ASK",
    BusyLoadingError: "LOADING",
    ClusterCrossSlotError: "CROSSSLOT",
    ClusterDownError: "CLUSTERDOWN",
    MasterDownError: "MASTERDOWN",
    MovedError: "MOVED",
    NoPermissionError: "NOPERM",
    NoScriptError: "NOSCRIPT",
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
    TryAgainError: "TRYAGAIN",
}
"""The codes that redis-py turns into a class and removes from the text."""

_LOGIN_CODES: Final = frozenset({"WRONGPASS", "NOAUTH"})
_PERMANENT_CODES: Final = frozenset({"NOPERM", "WRONGTYPE", "CROSSSLOT", "MOVED", "NOPROTO", "DENIED"})
"""Answers to which waiting changes nothing. MOVED reaches us only if a cluster is addressed as one server."""

_TEMPORARY_TEXTS: Final = (
    "max number of clients",  # of `maxclients`; redis-py has an error class for one of its two forms
    "upstream",  # of a proxy whose server is away
    "no upstream",
    "Server closed the connection",
    "Connection refused",
    "Connection timed out",
    "Host is unreachable",
)
"""Beginnings of answers with the code ERR that pass by themselves. All other ones with ERR are permanent."""

_CODE: Final = re.compile(r"^(?!SELECT |AUTH )([A-Z][A-Z0-9_]{2,31})(?: |$)", re.ASCII)
"""redis-py removes ERR, so the text may begin with a word in capitals that is no code."""

_CODE_IN_SCRIPT: Final = re.compile(r"@user_script: ?\d+: -([A-Z][A-Z0-9_]{1,31}) ", re.ASCII)
"""Up to Redis 6, an error inside a script has the code ERR, and its own code later in the text."""

_REDIRECTED: Final = "TTL exhausted"
"""What redis-py says after a number of ASK, MOVED and TRYAGAIN, without naming them."""

_OF_PIPELINE: Final = " of pipeline caused error: "
_ERR: Final = "ERR"


class RedisFailureKind(Enum):
    """How a program reacts to an error of Redis."""

    UNAVAILABLE = "wait, and try again"
    LOGIN = "check redis.url and redis.password_file"
    SENTINEL_LOGIN = "check redis.sentinel_username and redis.sentinel_password_file"
    CERTIFICATE = "check redis.ssl_ca_file"
    REJECTED = "stop: waiting does not help"


class RedisFailure(NamedTuple):
    """An error of Redis: how to react, the code of the server's answer ("" if it did not answer), and one line."""

    kind: RedisFailureKind
    code: str
    text: str

    @property
    def is_login(self) -> bool:
        """Whether another password may help."""
        return self.kind in (RedisFailureKind.LOGIN, RedisFailureKind.SENTINEL_LOGIN)


def redis_failure(error: Exception) -> RedisFailure:
    """Classify an error of redis-py, or one that it lets through."""
    if isinstance(error, RedisClusterException):
        return _cluster_failure(error)
    code, text = _code_and_text(error)
    return RedisFailure(_kind(error, code, text), code, text)


def _cluster_failure(error: RedisClusterException) -> RedisFailure:
    """Classify by what the cluster's servers answered, which redis-py keeps in the causes only."""
    cause = error.__cause__ or error.__context__
    while cause is not None:
        if isinstance(cause, RedisError):
            found = redis_failure(cause)
            if found.kind is not RedisFailureKind.UNAVAILABLE:
                return found
        cause = cause.__cause__ or cause.__context__
    return RedisFailure(RedisFailureKind.UNAVAILABLE, "", str(error))


def _kind(error: Exception, code: str, text: str) -> RedisFailureKind:
    if is_sentinel_login_failure(error):
        return RedisFailureKind.SENTINEL_LOGIN
    if is_untrusted_certificate(error):
        return RedisFailureKind.CERTIFICATE
    if isinstance(error, _LOGIN_ERRORS) or code in _LOGIN_CODES:
        return RedisFailureKind.LOGIN
    if isinstance(error, _AWAY_ERRORS) or (isinstance(error, ResponseError) and _is_temporary(code, text)):
        return RedisFailureKind.UNAVAILABLE
    return RedisFailureKind.REJECTED


def _is_temporary(code: str, text: str) -> bool:
    if code in _PERMANENT_CODES:
        return False
    return code not in ("", _ERR) or text.removeprefix(f"{_ERR} ").startswith(_TEMPORARY_TEXTS)


def _code_and_text(error: Exception) -> tuple[str, str]:
    """Return the code of the server's answer, and the answer without redis-py's copy of the command."""
    text = str(error).rpartition(_OF_PIPELINE)[2]
    if isinstance(error, ClusterError) and text.startswith(_REDIRECTED):
        return "", f"the servers of the cluster redirect to one another, as while a slot is moved ({text})"
    code = next((_CODE_OF[kind] for kind in type(error).__mro__ if kind in _CODE_OF), "")
    if code:
        return code, text if text.startswith(f"{code} ") else f"{code} {text}"
    if not isinstance(error, ResponseError):
        return "", text
    found = _CODE_IN_SCRIPT.search(text)
    if found is None and getattr(error, "status_code", None) != _ERR:
        found = _CODE.match(text)
    return found[1] if found else "", text
