"""What a failure of Redis is called: UNAVAILABLE to callers; to whoever runs it, words without the driver's."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from services.chassis.errors import DomainError, Reason
from services.chassis.process import RefusedError

FAILURES = (RedisError, OSError)
"""All that a call may end in; a TimeoutError is an OSError."""

_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (AuthenticationError, "Redis refuses the user name or the password."),
    (BusyLoadingError, "Redis is still loading its data."),
    (RedisTimeoutError, "Redis does not answer."),
    (RedisConnectionError, "Redis cannot be reached."),
    (NoPermissionError, "Redis does not allow the user what the journal needs."),
    (ClusterDownError, "The Redis Cluster is not whole."),
    (ReadOnlyError, "Redis is a replica, which cannot be written."),
    (MovedError, "Redis is a node of a cluster."),
    (ResponseError, "Redis refuses what the journal asks of it."),
)


class NoClusterError(ResponseError):
    """The server has no part in a cluster."""


def unavailable() -> DomainError:
    return DomainError(Reason.UNAVAILABLE, "The journal is not available.", retry_after=1)


@contextmanager
def as_unavailable() -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        raise unavailable() from error


def not_ready(error: Exception) -> DomainError:
    """Why a check did not pass."""
    cause = _cause(error)
    if isinstance(cause.__context__, ssl.SSLError):
        words = "The certificate of Redis is not trusted, or Redis speaks no TLS."
    else:
        words = next((words for kind, words in _WORDS if isinstance(cause, kind)), "Redis does not answer.")
    return DomainError(Reason.UNAVAILABLE, words, retry_after=1)


def refusal(error: Exception) -> RefusedError | None:
    """What no waiting mends, at the first check."""
    match _cause(error):
        case AuthenticationError():
            return RefusedError("Redis refuses the user name or the password of PARLEY_REDIS_URL.")
        case NoPermissionError():
            return RefusedError(
                "Redis does not allow the user of PARLEY_REDIS_URL what the journal needs: scripts, streams, channels."
            )
        case NoClusterError():
            return RefusedError("PARLEY_REDIS_CLUSTER is set, and PARLEY_REDIS_URL does not lead to a Redis Cluster.")
        case MovedError():
            return RefusedError("PARLEY_REDIS_URL leads to a Redis Cluster, and PARLEY_REDIS_CLUSTER is not set.")
        case _:
            return None


def _cause(error: Exception) -> BaseException:
    """On a unix socket redis-py reports a refused password as a connection that failed because of it."""
    return error.__cause__ if isinstance(error.__cause__, RedisError) else error
