"""The URL of a Cassandra cluster: cassandra://user:password@host:9042,host2/keyspace?datacenter=dc1"""

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from services.chassis.process import RefusedError

DEFAULT_PORT = 9042
DEFAULT_COPIES = 3

_KEYSPACE = re.compile(r"[a-z][a-z0-9_]{0,47}")
_DATACENTER = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HOST = re.compile(r"(?P<name>[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_SWITCH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a cluster is, and as whom it is used."""

    hosts: tuple[tuple[str, int], ...]
    """Some of its nodes, with their ports; the others are learned from them."""
    keyspace: str
    datacenter: str
    """The one whose nodes are asked, and whose quorum counts."""
    replication_factor: int
    """How many copies that datacenter keeps, where the keyspace is created."""
    user: str
    password: str = field(repr=False)
    tls: bool
    ca_file: str | None
    """Who signs the nodes' certificates; None: whom this machine trusts."""
    verify_hostname: bool
    """Whether a node's certificate must name the address that it is reached by."""


def parse(url: str) -> Address:
    """Raises RefusedError, which says what is wrong and shows nothing of the user and the password."""
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:  # its words show the part that they mean
        raise RefusedError("PARLEY_STORE_URL: this is no URL with options of the form name=value.") from None
    try:
        return _address(parts, options)
    except ValueError as error:
        raise RefusedError(f"PARLEY_STORE_URL: {error}") from None


def _address(parts: SplitResult, options: dict[str, str]) -> Address:
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    keyspace = parts.path.removeprefix("/")
    if not _KEYSPACE.fullmatch(keyspace):
        raise ValueError("a keyspace must follow the hosts: a small letter, then up to 47 of a-z, 0-9 and _.")
    datacenter = options.pop("datacenter", "")
    if not _DATACENTER.fullmatch(datacenter):
        raise ValueError("?datacenter= must name the datacenter whose nodes are asked.")
    copies = options.pop("replication_factor", str(DEFAULT_COPIES))
    if not re.fullmatch("[1-9]", copies):
        raise ValueError("replication_factor must be from 1 to 9.")
    tls = _switch(options, "tls", default=False)
    verify_hostname = _switch(options, "verify_hostname", default=True)
    ca_file = options.pop("ca_file", None)
    if not tls and (ca_file is not None or not verify_hostname):
        raise ValueError("ca_file and verify_hostname need tls=true.")
    if options:
        known = sorted(name for name in options if re.fullmatch("[a-z_]{1,32}", name))
        raise ValueError(f"{', '.join(known) or 'something after the keyspace'}: no such option.")
    return Address(
        hosts=tuple(_host(host) for host in hosts.split(",")),
        keyspace=keyspace,
        datacenter=datacenter,
        replication_factor=int(copies),
        user=unquote(user),
        password=unquote(password),
        tls=tls,
        ca_file=ca_file,
        verify_hostname=verify_hostname,
    )


def _switch(options: dict[str, str], name: str, *, default: bool) -> bool:
    value = options.pop(name, str(default).lower())
    if value not in _SWITCH:
        raise ValueError(f"{name} must be true or false.")
    return _SWITCH[value]


def _host(text: str) -> tuple[str, int]:
    host = _HOST.fullmatch(text)
    port = int(host["port"] or DEFAULT_PORT) if host else 0
    if not host or not 0 < port < 2**16:
        raise ValueError("the hosts must be host or host:port, with commas between them.")
    return host["name"].strip("[]"), port
