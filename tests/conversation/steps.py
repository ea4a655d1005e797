"""Steps that tests of the journal take."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.chassis.errors import DomainError, Reason
from services.chassis.ids import new_id
from services.conversation.config import Config
from services.conversation.draft import Draft, Outcome, Turn
from services.conversation.journal import Journal, open_journal


def a_config(redis_url: str, **more: object) -> Config:
    """Leases are short, and the keys are this test's own."""
    peers = dict.fromkeys(("auth_address", "history_address", "metadata_address"), "127.0.0.1:1")
    return Config.model_validate(
        {
            **peers,
            "inference_addresses": ("127.0.0.1:1",),
            "service_secret": "s" * 32,
            "redis_url": redis_url,
            "redis_prefix": f"test-{secrets.token_hex(8)}",
            "shards": 3,
            "lease_seconds": 0.5,
            "renew_seconds": 0.1,
            **more,
        }
    )


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Journal]:
    async with asyncio.timeout(20), open_journal(config) as journal:
        yield journal


async def said(journal: Journal) -> str:
    """Why the journal is not ready; nothing if it is."""
    try:
        await journal.check()
    except DomainError as error:
        return error.message if error.reason is Reason.UNAVAILABLE else str(error)
    return ""


def a_turn(account_id: str = "ann") -> Turn:
    return Turn(new_id(), new_id(), "default", account_id)


async def claimed(journal: Journal, turn: Turn) -> Draft:
    claim = await journal.claim(turn)
    assert claim is not None
    return claim.draft


async def append(journal: Journal, *drafts: Draft) -> list[Outcome]:
    return await journal.append(journal.shard(drafts[0].turn.conversation_id), drafts)


async def text_of(journal: Journal, turn: Turn, offset: int = 0) -> bytes:
    [reading] = await journal.read([(turn, offset)])
    return reading.text


async def redis(journal: Journal, turn: Turn, *words: str | int) -> object:
    """Runs a command behind the journal's back, where it has the turn."""
    return await journal._servers.call(journal.shard(turn.conversation_id), *words)


async def lapse(journal: Journal, turn: Turn) -> None:
    """Has the turn's lease lapse, as when its runner is dead for long."""
    await redis(journal, turn, "HSET", journal._keys.record(turn), "lease", 1)


async def forget(journal: Journal, turn: Turn) -> None:
    """Has the journal lose the turn, and the queue that it stands in."""
    await redis(journal, turn, "DEL", *journal._keys.of_draft(turn), journal._keys.turns_of(turn))


async def take_one(journal: Journal, turn: Turn) -> Turn:
    shard = journal.shard(turn.conversation_id)
    async with asyncio.timeout(5):
        while not (taken := await journal.take(shard, 10)):
            pass
    assert taken == [turn]
    return taken[0]
