"""An upstream engine before a fake server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.inference.upstream.connection import Connection, Deadlines
from services.inference.upstream.engine import Named, UpstreamEngine
from services.inference.upstream.places import Places
from services.inference.upstream.watch import Watch
from tests.inference.contract import CONTEXT_LENGTH, SLOTS, WAITING
from tests.inference.running import running
from tests.inference.upstream.server import MODEL, FakeServer, serving
from tests.inference.upstream.words import SpokenTokenizer

PATIENT = Deadlines(connect=20, answer=20, first_token=60, next_token=60)


def make_engine(
    server: FakeServer, deadlines: Deadlines = PATIENT, *, context_length: int = CONTEXT_LENGTH
) -> UpstreamEngine:
    connection = Connection(server.url, "secret key", deadlines, SLOTS)
    watch = Watch(connection, MODEL, None, context_length)
    return UpstreamEngine(Named(MODEL, "Words", b"salt"), connection, watch, Places(SLOTS, WAITING), SpokenTokenizer)


@asynccontextmanager
async def upstream(kind: str, deadlines: Deadlines = PATIENT) -> AsyncIterator[tuple[UpstreamEngine, FakeServer]]:
    async with serving(kind) as server, running(make_engine(server, deadlines)) as engine:
        await engine.wait_ready()
        yield engine, server
