"""How the servers of PARLEY_REDIS_URL are reached."""

import ssl
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit, urlunsplit

from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry

from services.chassis.process import RefusedError
from services.conversation.config import Config
from services.conversation.journal.server import SILENT_SECONDS, Server

HEALTH_SECONDS = 15
"""A connection that was idle for longer is tried before it is used."""
DEFAULT_PORT = 6379


class Address(NamedTuple):
    host: str
    port: int


class TlsConnection(Connection):
    """One TLS context for all, which costs more than a handshake to make.

    A node that is known by its IP address alone shows the certificate of the name in the URL.
    """

    def __init__(self, *, tls: ssl.SSLContext, url_host: str, **options: Any) -> None:
        super().__init__(**options)
        self._tls, self._url_host = tls, url_host

    def _connection_arguments(self) -> Mapping[str, Any]:
        name = self._url_host if _is_ip(self.host) and not _is_ip(self._url_host) else self.host
        return {**super()._connection_arguments(), "ssl": self._tls, "server_hostname": name}


class Access:
    """What PARLEY_REDIS_URL says. Raises RefusedError where it is not understood."""

    def __init__(self, config: Config) -> None:
        try:
            urls = _split(config.redis_url.get_secret_value())
        except ValueError:  # whose words may show the password
            raise RefusedError("PARLEY_REDIS_URL is not understood.") from None
        self._options = _options(urls[0])
        if config.redis_cluster and self._options.get("db"):
            raise RefusedError("PARLEY_REDIS_URL names a database, and a Redis Cluster has only one.")
        self._connections = config.redis_connections
        if urls[0].startswith("rediss:"):
            tls = {"tls": _tls(config.redis_ca_file), "url_host": self._options["host"]}
            self._options |= {"connection_class": TlsConnection, **tls}
        self.seeds = [Address(each["host"], each["port"]) for each in map(_options, urls) if "host" in each]

    def server(self, retry: Retry, address: Address | None = None) -> Server:
        """The first of the URL, or another of its cluster. It is connected to when it is used."""
        place = {} if address is None else address._asdict()
        pool = BlockingConnectionPool(
            **{**self._options, **place},
            max_connections=self._connections,
            # `Server` has the deadlines: on Python 3.11 redis-py's own, for writing, may lose a cancellation.
            timeout=None,
            socket_timeout=None,
            socket_connect_timeout=SILENT_SECONDS,
            health_check_interval=HEALTH_SECONDS,
            retry=retry,
            # Version 3 would have servers push notices of their maintenance, and nothing here needs it.
            protocol=2,
            driver_info=None,
        )
        return Server(Redis.from_pool(pool))


def _split(url: str) -> list[str]:
    """One URL for each of the hosts, which commas separate."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    return [urlunsplit(parts._replace(netloc=login + at + host)) for host in hosts.split(",")]


def _options(url: str) -> dict[str, Any]:
    try:
        if parse_qs(urlsplit(url).query).keys() - {"db"}:
            raise RefusedError("PARLEY_REDIS_URL takes no other parameter than db.")
        found = dict(parse_url(url))
    except ValueError:
        raise RefusedError("PARLEY_REDIS_URL is not understood.") from None
    return found if "path" in found else {"host": "localhost", "port": DEFAULT_PORT, **found}


def _tls(authorities: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError:
        raise RefusedError("PARLEY_REDIS_CA_FILE holds no certificates.") from None


def _is_ip(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False
