"""Stores that do not accept the password in their URL."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO

from cassandra.segment import SegmentCodec
from redis.asyncio import Redis

from tests.faults.places import Place

PASSWORD = "the-wrong-password"

# The native protocol of Cassandra, version 5: a frame is version, flags, stream, opcode, length, body.
FRAME = struct.Struct(">BBhBI")
RESPONSE = 0x85
ERROR, STARTUP, AUTHENTICATE, OPTIONS, SUPPORTED = 0x00, 0x01, 0x03, 0x05, 0x06
AUTHENTICATOR = "org.apache.cassandra.auth.PasswordAuthenticator"
BAD_CREDENTIALS = 0x0100
SEGMENT_HEADER, SEGMENT_CHECKSUM = 6, 4


@asynccontextmanager
async def locked(place: Place) -> AsyncIterator[str]:
    """The server asks for a password, or at least knows no such user."""
    yield place.through(place.server.port, f"{place.name}:{PASSWORD}")


@asynccontextmanager
async def locked_redis(place: Place) -> AsyncIterator[str]:
    """Redis lets in everybody as its default user, so a user is made who has another password."""
    async with Redis.from_url(place.server.url) as redis:
        await redis.acl_setuser(place.name, enabled=True, passwords=["+another-password"])
        try:
            yield place.through(place.server.port, f"{place.name}:{PASSWORD}")
        finally:
            await redis.acl_deluser(place.name)


@asynccontextmanager
async def locked_cassandra(place: Place) -> AsyncIterator[str]:
    """A node that asks everybody for a password and accepts none; the tests' own asks nobody."""
    node = await asyncio.start_server(_turn_away, "127.0.0.1", 0)
    async with node:
        yield place.through(node.sockets[0].getsockname()[1], f"{place.name}:{PASSWORD}")


async def _turn_away(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speaks as far as the password: what follows the request for it comes in segments with checksums."""
    try:
        while True:
            _, _, stream, opcode, length = FRAME.unpack(await reader.readexactly(FRAME.size))
            await reader.readexactly(length)
            if opcode == OPTIONS:
                writer.write(_frame(stream, SUPPORTED, _versions()))
            elif opcode == STARTUP:
                writer.write(_frame(stream, AUTHENTICATE, _text(AUTHENTICATOR)))
                break
        header = await reader.readexactly(SEGMENT_HEADER)
        length = int.from_bytes(header[:3], "little") & 0x1FFFF
        segment = await reader.readexactly(length + SEGMENT_CHECKSUM)
        stream = FRAME.unpack_from(segment)[2]
        words = struct.pack(">i", BAD_CREDENTIALS) + _text("Provided username and/or password are incorrect")
        answer = BytesIO()
        SegmentCodec().encode(answer, _frame(stream, ERROR, words))
        writer.write(answer.getvalue())
        await writer.drain()
        await reader.read()
    except asyncio.IncompleteReadError:
        pass  # the driver hung up
    finally:
        writer.close()


def _frame(stream: int, opcode: int, body: bytes) -> bytes:
    return FRAME.pack(RESPONSE, 0, stream, opcode, len(body)) + body


def _versions() -> bytes:
    """Of CQL one, and no compression."""
    return (
        struct.pack(">H", 2)
        + _text("CQL_VERSION")
        + struct.pack(">H", 1)
        + _text("3.4.7")
        + (_text("COMPRESSION") + struct.pack(">H", 0))
    )


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()
