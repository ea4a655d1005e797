"""The connection to a cluster: which node is asked, when another one is, and what is checked about both."""

import logging
import ssl
from typing import Any

from cassandra import AuthenticationFailed, ConsistencyLevel, DriverException
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.connection import ConnectionException
from cassandra.policies import (
    ConstantReconnectionPolicy,
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    RetryPolicy,
    SpeculativeExecutionPolicy,
    TokenAwarePolicy,
)
from cassandra.query import tuple_factory

from services.chassis.errors import DomainError, Reason
from services.chassis.process import RefusedError
from services.history.cassandra.url import Address

READ = "read"
"""The profile of statements that another node may be asked beside the first, where that one is slow."""
WRITE = EXEC_PROFILE_DEFAULT

REQUEST_SECONDS = 3.0
"""How long one request may take, with its retries."""
SPECULATE_SECONDS = 0.25
"""After how long a read is sent to a second node: far beyond what a healthy one needs."""
MAX_RETRIES = 2
CONNECT_SECONDS = 2.0
HEARTBEAT_SECONDS = 2.0
"""How often an idle connection is tried. A node that is silent then for REQUEST_SECONDS counts as down."""
RECONNECT_SECONDS = 1.0
THREADS = 8
"""For reconnecting and for retries: nodes that hang must not hold up the retries that they are the reason of."""


class NextNode(RetryPolicy):  # type: ignore[misc]
    """Asks another node, once or twice, where it does no harm that the first one may have done what it was asked."""

    def _again(self, query: Any, *_: object, retry_num: int, **__: object) -> tuple[int, None]:
        if query is not None and query.is_idempotent and retry_num < MAX_RETRIES:
            return self.RETRY_NEXT_HOST, None
        return self.RETHROW, None

    on_read_timeout = on_write_timeout = on_unavailable = on_request_error = _again


def connect(address: Address) -> Any:
    """The driver's session. Blocks for some seconds at most; raises RefusedError, or DomainError UNAVAILABLE."""
    # What the driver logs is about nodes, which say it better; what it means for the store, the store's check says.
    logging.getLogger("cassandra").setLevel(logging.CRITICAL)
    context = _tls(address) if address.tls else None
    try:
        cluster = Cluster(
            address.hosts,
            port=address.hosts[0][1],
            protocol_version=5,
            execution_profiles={
                WRITE: _profile(address, None),
                READ: _profile(address, ConstantSpeculativeExecutionPolicy(SPECULATE_SECONDS, max_attempts=1)),
            },
            auth_provider=PlainTextAuthProvider(address.user, address.password) if address.user else None,
            ssl_context=context,
            reconnection_policy=ConstantReconnectionPolicy(RECONNECT_SECONDS, max_attempts=None),
            connect_timeout=CONNECT_SECONDS,
            control_connection_timeout=CONNECT_SECONDS,
            idle_heartbeat_interval=HEARTBEAT_SECONDS,
            idle_heartbeat_timeout=REQUEST_SECONDS,
            executor_threads=THREADS,
            monitor_reporting_enabled=False,
        )
    except DriverException as error:
        raise unavailable("None of the store's hosts has an address.") from error
    try:
        return cluster.connect()
    except (DriverException, NoHostAvailable, ConnectionException, OSError) as error:
        raise _refusal(error, address, _datacenters(cluster)) from error
    finally:
        if not cluster.sessions:
            cluster.shutdown()


def unavailable(words: str = "The store is not available.") -> DomainError:
    return DomainError(Reason.UNAVAILABLE, words, retry_after=1)


def _profile(address: Address, speculation: SpeculativeExecutionPolicy | None) -> ExecutionProfile:
    return ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(address.datacenter), shuffle_replicas=True),
        retry_policy=NextNode(),
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
        request_timeout=REQUEST_SECONDS,
        row_factory=tuple_factory,
        speculative_execution_policy=speculation,
    )


def _tls(address: Address) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=address.ca_file)
    except (OSError, ssl.SSLError):
        raise RefusedError("PARLEY_STORE_URL: ca_file must be a readable file with certificates.") from None
    context.check_hostname = address.verify_hostname
    return context


def _datacenters(cluster: Any) -> set[str]:
    """Those of the nodes that were learned of."""
    return {host.datacenter for host in cluster.metadata.all_hosts() if host.datacenter}


def _refusal(error: Exception, address: Address, datacenters: set[str]) -> Exception:
    """Why there is no connection: what no retry mends, or that the store is away."""
    causes = error.errors.values() if isinstance(error, NoHostAvailable) and isinstance(error.errors, dict) else [error]
    if any(isinstance(cause, AuthenticationFailed) for cause in causes):
        return RefusedError("PARLEY_STORE_URL: the store does not accept its user and password.")
    if address.tls and any(isinstance(cause, OSError) and cause.errno == ssl.SSL_ERROR_SSL for cause in causes):
        return unavailable("The store's certificate does not fit its address or ca_file, or the store speaks no TLS.")
    if datacenters and address.datacenter not in datacenters:
        known = ", ".join(sorted(datacenters))
        return RefusedError(f"PARLEY_STORE_URL: the store has no datacenter {address.datacenter}; it has {known}.")
    return unavailable("The store does not answer.")
