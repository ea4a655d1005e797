"""Cassandra behind TLS, which a proxy terminates here: as in Cassandra, all is TLS from the first byte."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.chassis.errors import DomainError
from services.chassis.ids import new_id
from services.chassis.process import RefusedError
from services.history.cassandra.store import CassandraStore, open_cassandra
from tests.history.messages import user_message
from tests.servers import Server, server


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs certificates."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def file(self) -> Path:
        path = self.folder / "ca.pem"
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def context(self, address: str) -> ssl.SSLContext:
        """Of a server at that address."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        signed = _builder("node", "authority", key).add_extension(names, critical=False).sign(self.key, hashes.SHA256())
        path = self.folder / "node.pem"
        path.write_bytes(_pem(key) + signed.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
    )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    basic = x509.BasicConstraints(ca=True, path_length=0)
    certificate = _builder("authority", "authority", key).add_extension(basic, critical=True)
    return Authority(tmp_path_factory.mktemp("ca"), key, certificate.sign(key, hashes.SHA256()))


@asynccontextmanager
async def terminator(target: Server, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Takes TLS off what connects to the port that it yields."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(target.host, target.port)
        with suppress(OSError, ExceptionGroup):
            async with asyncio.TaskGroup() as ways:
                ways.create_task(forward(reader, inner_writer))
                ways.create_task(forward(inner_reader, writer))
        for each in (writer, inner_writer):
            each.transport.abort()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield listening.sockets[0].getsockname()[1]
    listening.close()
    await listening.wait_closed()


@asynccontextmanager
async def store_of(url: str, port: int, options: str) -> AsyncIterator[CassandraStore]:
    async with open_cassandra(url.replace(f":{server('cassandra').port}", f":{port}") + options) as store:
        yield store


async def works(store: CassandraStore) -> None:
    await store.check()
    message = user_message(new_id())
    await store.put(message)
    assert await store.get(message.conversation_id, message.message_id) == message


async def no_certificate(store: CassandraStore) -> None:
    with pytest.raises(DomainError, match="certificate"):
        await store.check()


async def test_a_store_behind_tls(cassandra_url: str, authority: Authority) -> None:
    async with (
        terminator(server("cassandra"), authority.context("127.0.0.1")) as port,
        store_of(cassandra_url, port, f"&tls=true&ca_file={authority.file}") as store,
    ):
        await works(store)


async def test_a_certificate_of_another_address_is_none_unless_names_do_not_count(
    cassandra_url: str, authority: Authority
) -> None:
    async with terminator(server("cassandra"), authority.context("127.0.0.9")) as port:
        options = f"&tls=true&ca_file={authority.file}"
        async with store_of(cassandra_url, port, options) as store:
            await no_certificate(store)
        async with store_of(cassandra_url, port, f"{options}&verify_hostname=false") as store:
            await works(store)


async def test_a_certificate_of_an_unknown_authority_is_none(cassandra_url: str, authority: Authority) -> None:
    async with (
        terminator(server("cassandra"), authority.context("127.0.0.1")) as port,
        store_of(cassandra_url, port, "&tls=true&verify_hostname=false") as store,
    ):
        await no_certificate(store)


async def test_one_side_without_tls_is_unavailable(cassandra_url: str, authority: Authority) -> None:
    async with terminator(server("cassandra"), authority.context("127.0.0.1")) as port:
        plain, tls = "", f"&tls=true&ca_file={authority.file}"
        for to, options in ((port, plain), (server("cassandra").port, tls)):
            async with store_of(cassandra_url, to, options) as store:
                with pytest.raises(DomainError):
                    await store.check()


async def test_a_ca_file_that_cannot_be_read_is_refused(cassandra_url: str, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for file in (tmp_path / "absent.pem", tmp_path / "empty.pem"):
        async with open_cassandra(f"{cassandra_url}&tls=true&ca_file={file}") as store:
            with pytest.raises(RefusedError, match="ca_file must be a readable file"):
                await store.check()
