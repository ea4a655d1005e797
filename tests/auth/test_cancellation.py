"""Callers that go away at any moment: nobody gets another's answer, and nothing is left behind."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import psycopg

from services.auth.records import Reserving
from services.auth.sql.store import sql_store
from services.auth.store import Store
from services.auth.stores import open_database
from services.chassis.ids import new_id
from tests.auth.contract_accounts import new_account
from tests.auth.contract_ledger import balance, reservation
from tests.auth.contract_secrets import new_key
from tests.proxy import proxy
from tests.servers import Server

OPERATIONS = 1_500
ACCOUNTS = 20
CONNECTIONS = 4
AT_ONCE = 40


class Canary:
    """An account whose every value is its own, and who reads them all the time."""

    def __init__(self, store: Store, number: int) -> None:
        self.store, self.account, self.tokens, self.reserved = store, new_account(), number + 1, 0
        self.key = new_key(self.account.owner, self.account.email)

    async def sign_up(self) -> None:
        await self.store.accounts.create(self.account, self.account.email)
        await self.store.api_keys.create(self.key, 1)

    async def look_at_account(self) -> None:
        assert await self.store.accounts.get(self.account.owner) == self.account

    async def look_at_password(self) -> None:
        credential = await self.store.accounts.credential(self.account.email)
        assert credential
        assert (credential.account, credential.password_hash) == (self.account, self.account.email)

    async def look_at_key(self) -> None:
        assert await self.store.api_keys.find(self.key.secret_hash) == self.key

    async def reserve(self) -> None:
        wanted = reservation(self.account.owner, self.tokens)
        outcome, found = await self.store.ledger.reserve(wanted, limit=None, live_since=wanted.start_time)
        assert outcome is Reserving.RESERVED
        self.reserved += 1
        # A multiple of what nobody else reserves, and everything that was acknowledged.
        assert found.reserved_tokens % self.tokens == 0
        assert found.reserved_tokens >= self.reserved * self.tokens

    def operations(self) -> list[Callable[[], Awaitable[None]]]:
        return [self.look_at_account, self.look_at_password, self.look_at_key, self.reserve]


async def disturb(canaries: list[Canary], operations: int) -> int:
    """Runs operations at random, cancels a third of them at random moments, and returns how many were."""
    places = asyncio.Semaphore(AT_ONCE)
    cancelled = 0

    async def one() -> None:
        nonlocal cancelled
        async with places:
            task = asyncio.ensure_future(random.choice(random.choice(canaries).operations())())
            if random.random() < 1 / 3:
                for _ in range(random.randrange(30)):
                    await asyncio.sleep(0)
                cancelled += task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(operations):
            tasks.create_task(one())
    return cancelled


async def test_on_a_file_nobody_gets_what_is_anothers(file_url: str) -> None:
    await check(file_url, OPERATIONS // 5)


async def test_on_a_slow_server_nobody_gets_what_is_anothers(postgres: Server, postgres_url: str) -> None:
    async with proxy(postgres.host, postgres.port) as between:
        between.delay = 0.0005
        name = f"canaries-{new_id()}"
        url = postgres_url.replace(f":{postgres.port}/", f":{between.port}/") + f"&application_name={name}"
        await check(url, OPERATIONS * 4 // 5)
        async with asyncio.timeout(10):
            while between.connections or connections(postgres.url, name):
                await asyncio.sleep(0.01)


async def check(url: str, operations: int) -> None:
    async with open_database(url, CONNECTIONS) as database:
        await database.migrate()
        store = sql_store(database)
        canaries = [Canary(store, number) for number in range(ACCOUNTS)]
        for canary in canaries:
            await canary.sign_up()
        assert await disturb(canaries, operations) > operations / 10
        # Every turn is free again, and each account has what was acknowledged.
        await asyncio.gather(*(canary.look_at_account() for canary in canaries))
        for canary in canaries:
            _, reserved = await balance(store, canary.account.owner)
            assert reserved >= canary.reserved * canary.tokens
            assert reserved % canary.tokens == 0
        assert database._backend.writer.pool.checkedout() == 0  # type: ignore[attr-defined]
        assert database._threads._running == set()


def connections(url: str, name: str) -> int:
    with psycopg.connect(url) as connection:
        count = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [name])
        return int(count.fetchone()[0])  # type: ignore[index]
