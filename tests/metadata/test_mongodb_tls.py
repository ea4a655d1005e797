"""MongoDB behind TLS, by an authority of one's own."""

import asyncio
import gc
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from services.chassis.errors import DomainError
from services.metadata.stores import open_store
from tests.metadata.contract import conversation, new_owner
from tests.metadata.opened import by_port, opened
from tests.servers import Server, server

Signed = tuple[x509.Certificate, EllipticCurvePrivateKey]


def certificate(name: str, authority: Signed | None = None) -> Signed:
    """A certificate for 127.0.0.1, or without an authority one of an authority."""
    key, now = generate_private_key(SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signing = (authority[0].subject, authority[1]) if authority else (subject, key)
    builder = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    )
    return builder.sign(signing, hashes.SHA256()), key


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


@asynccontextmanager
async def behind_tls(real: Server, signed: Signed, folder: Path) -> AsyncIterator[int]:
    """A port where a server is reached by TLS alone."""
    chain = folder / "server.pem"
    chain.write_bytes(pem(signed[0]) + signed[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(real.host, real.port)
        with suppress(OSError):
            await asyncio.gather(forward(reader, inner_writer), forward(inner_reader, writer))

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


async def not_reached(url: str) -> None:
    async with open_store(url) as store:
        with pytest.raises(DomainError):
            await store.check()


# A client that is closed while it connects leaves its socket to the collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
async def test_it_is_reached_by_tls_where_the_authority_is_known(mongodb_url: str, tmp_path: Path) -> None:
    authority = certificate("authority")
    known, stranger = tmp_path / "known.pem", tmp_path / "stranger.pem"
    known.write_bytes(pem(authority[0]))
    stranger.write_bytes(pem(certificate("authority")[0]))
    async with behind_tls(server("mongodb"), certificate("server", authority), tmp_path) as port:
        url = f"{by_port(mongodb_url, port)}&tls=true"
        async with opened(f"{url}&tlsCAFile={known}") as store:
            row = conversation(new_owner())
            assert await store.create(row)
            assert await store.get(row.owner, row.conversation_id) == row
        strangers = (f"{url}&tlsCAFile={stranger}", url, by_port(mongodb_url, port))
        await asyncio.gather(*map(not_reached, strangers))
    gc.collect()
