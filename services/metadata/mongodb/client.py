"""The connection to MongoDB: what is asked of every operation, whatever the URL says."""

import logging
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from services.chassis.errors import DomainError, Reason
from services.chassis.process import RefusedError

Document = dict[str, Any]

DATABASE = "parley"
"""Where the URL names none."""
CONNECTIONS = 50
OPERATION_MILLISECONDS = 4_000
"""From the wait for a connection to the answer, a repeated attempt included: below the deadline of any caller."""
CONNECT_MILLISECONDS = 2_000
"""For a connection, and for a sign of life of a server."""

_ALWAYS: Mapping[str, Any] = {
    "timeoutMS": OPERATION_MILLISECONDS,
    "serverSelectionTimeoutMS": OPERATION_MILLISECONDS,
    "connectTimeoutMS": CONNECT_MILLISECONDS,
    "w": "majority",
    "journal": True,
    "readConcernLevel": "majority",
    "readPreference": "primary",
    "tz_aware": True,
}
_UNLESS_SAID: Mapping[str, Any] = {
    "maxPoolSize": CONNECTIONS,
    "retryReads": True,
    "retryWrites": True,
    "serverMonitoringMode": "poll",
}
"""What a URL may say otherwise; that of a server that knows no repeated writes has `retryWrites=false`. Operations find
out about a new primary before any monitor does, so one connection to watch a server is enough."""

_CREDENTIALS = (13, 18, 8_000)
"""Unauthorized and AuthenticationFailed, and Atlas's own number for either."""


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[AsyncDatabase[Document]]:
    """The database that a URL names, bound to the running loop. It may be away. Raises RefusedError for a bad URL."""
    logging.getLogger("pymongo").setLevel(logging.INFO)  # its debug lines hold documents
    client = _client(url)
    try:  # and not `async with`, which would ask for the servers' names already
        yield client.get_default_database(DATABASE)
    finally:
        await client.close()


def _client(url: str) -> AsyncMongoClient[Document]:
    try:
        said = {name.lower() for name, _ in parse_qsl(urlsplit(url).query)}
        options = {name: value for name, value in _UNLESS_SAID.items() if name.lower() not in said}
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # of an option that is none, or has no such value
            return AsyncMongoClient(url, appname="parley-metadata", **options, **_ALWAYS)
    except (PyMongoError, UserWarning, ValueError, TypeError):
        raise RefusedError(  # the driver's own words may quote the password
            "PARLEY_STORE_URL is no address of a MongoDB server: mongodb://user:password@host:port/database?options, "
            "with %-escapes in user and password."
        ) from None


def connections(database: AsyncDatabase[Document]) -> int:
    """How many there are at most."""
    return int(database.client.options.pool_options.max_pool_size or CONNECTIONS)


@contextmanager
def as_unavailable(*, refuse_credentials: bool = False) -> Iterator[None]:
    """Turns what the driver raises into DomainError UNAVAILABLE, but a used `_id`: that is the store's own business.
    With `refuse_credentials` wrong ones become a RefusedError."""
    try:
        yield
    except DuplicateKeyError:
        raise
    except (PyMongoError, OSError) as error:
        if refuse_credentials and isinstance(error, OperationFailure) and error.code in _CREDENTIALS:
            raise RefusedError("The store of metadata refuses the user and password in PARLEY_STORE_URL.") from None
        raise unavailable() from error


def unavailable() -> DomainError:
    return DomainError(Reason.UNAVAILABLE, "The store is not available.", retry_after=1)
