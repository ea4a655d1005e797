"""What can be turned at the edge."""

from pathlib import Path

from pydantic import Field

from services.chassis.config import Address, PeerSettings


class Limits(PeerSettings):
    """What one request, one socket or one account may take."""

    max_body_bytes: int = Field(2 * 1024 * 1024, ge=1024)
    """Of an HTTP request; of one message on a WebSocket, too."""
    max_document_tokens: int = Field(1000, ge=1)
    max_depth: int = Field(10, ge=1)
    """Nested selections of a document, but for introspection, which has a rule of its own."""
    max_aliases: int = Field(15, ge=0)
    max_directives: int = Field(20, ge=0)
    max_repeats: int = Field(50, ge=1)
    """How often one field name may be written in a document: comparing them all takes the square of it."""
    max_page_size: int = Field(100, ge=1, le=200)
    max_calls_per_operation: int = Field(128, ge=1)
    """Calls to other services that one operation may cause, however its document is nested."""
    max_calls_at_once: int = Field(8, ge=1)
    max_bytes_per_operation: int = Field(16 * 1024 * 1024, ge=1)
    """What those calls may bring together; none is begun beyond it."""
    operation_seconds: float = Field(30, gt=0)
    """For a query or a mutation, all its calls together."""
    body_seconds: float = Field(10, gt=0)
    """For a request's body to arrive."""
    connection_init_seconds: float = Field(10, gt=0)
    """For a WebSocket to say who it is."""
    send_seconds: float = Field(60, gt=0)
    """A client that takes nothing for so long is cut off."""
    max_connections: int = Field(10_000, ge=1)
    max_sockets_per_account: int = Field(1000, ge=1)
    """WebSockets and event streams together."""
    max_exports: int = Field(8, ge=1)
    """Archives that this process makes at once; each takes up to 70 MiB, and up to a core."""
    max_exports_per_account: int = Field(1, ge=1)
    max_operations_per_socket: int = Field(500, ge=1)
    max_waiting_per_socket: int = Field(16 * 1024 * 1024, ge=1)
    """Characters of messages that wait for a WebSocket's client to take them."""
    max_feeds_per_account: int = Field(50, ge=1)
    """Subscriptions to conversationEvents: each reads what changed for itself."""
    max_watches: int = Field(20_000, ge=1)
    """Replies and accounts that are watched through this process."""
    max_watches_per_account: int = Field(1000, ge=1)
    cached_documents: int = Field(200, ge=0)
    """Documents that are kept parsed and validated; one takes up to 250 KiB."""
    max_cached_document_bytes: int = Field(16 * 1024, ge=0)
    cached_callers: int = Field(10_000, ge=1)
    """Credentials whose caller is remembered while his inner token lives."""


class Config(Limits):
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    """0 takes a free one."""
    reuse_port: bool = False
    """Whether other edge processes may listen on the same port; the system spreads connections over them."""
    metrics_listen: str = Field("", pattern=r"^(.+:\d{1,5})?$")
    """host:port of the inner listener with /metrics, /healthz and /readyz; empty for none."""
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    drain_seconds: float = Field(0, ge=0, le=600)
    """Between turning unready and closing the listener: as long as endpoints need to let go."""
    grace_seconds: float = Field(10, ge=0, le=600)
    """For requests in flight to end, after the listener closed."""

    conversation_address: Address
    history_address: Address
    metadata_address: Address
    inference_address: Address

    secure_cookie: bool = True
    """Whether the session cookie is `__Host-parley` with Secure. Chrome and Firefox treat http://localhost as secure;
    Safari and most other clients send such a cookie over https alone. Where there is none, false makes it `parley`."""
    introspection: bool = True
    graphiql: bool = True
    graphiql_folder: Path = Path("node_modules")
    """Where npm installed GraphiQL and React."""

    heartbeat_seconds: float = Field(15, gt=0)
    """A subscription says something at least this often."""
    tick_seconds: float = Field(0.025, ge=0)
    """The least time between two deltas of one subscription; more under load. Text that arrives meanwhile is merged."""
    silence_seconds: float = Field(2, gt=0)
    """A stream of watches that says nothing for so long is dead."""
    max_reopen_seconds: float = Field(1, gt=0)
    """The longest pause before a lost stream of watches is opened again."""
    watch_stream_seconds: float = Field(24 * 3600, gt=0)
    """How long a stream of watches lives before it is opened anew."""
