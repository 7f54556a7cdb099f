"""What errors of Redis mean: each code as redis-py passes it on, in a pipeline, in a script, and from a cluster."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, RedisClusterException, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from triptych.service.redis_errors import RedisFailureKind, redis_failure

parse_error = Redis().connection_pool.connection_class()._parser.parse_error  # noqa: SLF001 - as the client does

TEMPORARY = (
    "NOREPLICAS Not enough good replicas to write.",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN The cluster is down",
    "CLUSTERDOWN Hash slot not served",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "READONLY You can't write against a read only replica.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "NOSCRIPT No matching script. Please use EVAL.",
    "ERR max number of clients reached",
    "ERR max number of clients + cluster connections reached",
    "ERR upstream failure",
    "UNAVAILABLE a code that no version has yet",
)
LOGIN = (
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NOAUTH Authentication required.",
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH",
    "ERR invalid password",
)
REJECTED = (
    "NOPERM this user has no permissions to run the 'evalsha' command",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "CROSSSLOT Keys in request don't hash to the same slot",
    "MOVED 3999 127.0.0.1:6381",
    "ERR unknown command 'EVALSHA', with args beginning with: ",
    "ERR DB index is out of range",
    "ERR SELECT is not allowed in cluster mode",
    "ERR hash value is not an integer",
)
KINDS = {
    **dict.fromkeys(TEMPORARY, RedisFailureKind.UNAVAILABLE),
    **dict.fromkeys(LOGIN, RedisFailureKind.LOGIN),
    **dict.fromkeys(REJECTED, RedisFailureKind.REJECTED),
}


@pytest.mark.parametrize("answer", KINDS)
def test_an_answer_is_classified_alone_and_in_a_pipeline(answer: str) -> None:
    """A pipeline puts the command before the text, and the command holds what others wrote: `BUSY` in a cue."""
    assert redis_failure(parse_error(answer)).kind is KINDS[answer]
    error = parse_error(answer)
    pipe: Any = Redis().pipeline()
    pipe.annotate_exception(error, 3, ["EVALSHA", "sha", "4", "WRONGTYPE BUSY NOAUTH"])
    failure = redis_failure(error)
    assert failure.kind is KINDS[answer]
    assert "EVALSHA sha" not in failure.text
    if answer not in LOGIN and not answer.startswith(("ERR", "MOVED")):
        assert failure.code == answer.partition(" ")[0]
        assert failure.text.startswith(f"{failure.code} ")


@pytest.mark.parametrize(
    ("code", "kind"), [("READONLY", RedisFailureKind.UNAVAILABLE), ("WRONGTYPE", RedisFailureKind.REJECTED)]
)
def test_an_error_inside_a_script_has_its_own_code(code: str, kind: RedisFailureKind) -> None:
    """Up to Redis 6 it is a part of the text."""
    text = f"ERR Error running script (call to f_1): @user_script:16: @user_script: 16: -{code} You can't do that. "
    assert redis_failure(parse_error(text)) == (kind, code, redis_failure(parse_error(text)).text)


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (RedisConnectionError("refused"), RedisFailureKind.UNAVAILABLE),
        (AuthenticationError("invalid username-password pair"), RedisFailureKind.LOGIN),
        (ResponseError("NOPERM no"), RedisFailureKind.REJECTED),
        (KeyError("slot"), RedisFailureKind.UNAVAILABLE),
    ],
)
def test_an_error_of_a_cluster_is_judged_by_its_cause(cause: Exception, kind: RedisFailureKind) -> None:
    """redis-py says only that the cluster cannot be connected."""
    error = RedisClusterException("Redis Cluster cannot be connected")
    error.__cause__ = cause
    assert redis_failure(error).kind is kind


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    """And has no code."""
    for error in (RedisConnectionError("Connection refused"), RedisTimeoutError("Timeout reading"), OSError("reset")):
        assert redis_failure(error) == (RedisFailureKind.UNAVAILABLE, "", str(error))
