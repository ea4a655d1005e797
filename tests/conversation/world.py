"""All that is left of an account, everywhere, and the services that remember it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import cast

from parley.auth.v1.token_service_pb2 import ExchangeTokenResponse
from services.chassis.errors import DomainError, Reason
from services.chassis.identity import Caller, ReservationSubject, TokenSubject, acting_for, caller
from services.chassis.tokens import Tokens
from services.conversation.draft import Turn
from services.conversation.feed import Change
from services.conversation.hub import Hub
from services.conversation.journal import Journal
from services.conversation.leaving import Leaving, Receipt
from services.conversation.peers import Accounts, History, Ledger, Metadata, Peers
from services.conversation.removal import Removal

ANN = Caller("edge", "default", "ann", subject=TokenSubject("about to end"))
PAGE = 3


class World:
    """What is left of an account everywhere. Each call takes a step, and the world may end with one of them."""

    def __init__(self, conversations: int = 5) -> None:
        self.conversations = [f"c{number}" for number in range(conversations)]
        self.messages = dict.fromkeys(self.conversations, 2)
        self.journal = set(self.conversations)
        """Those of whose replies the journal has texts."""
        self.settings = self.account = True
        self.closed = False
        self.reserved = 0
        self.running: dict[str, list[str]] = {}
        self.stopped: list[str] = []
        self.steps: list[str] = []
        self.ends_at = -1
        self.seconds = 0.0
        """How long a step takes."""
        self.meanwhile: dict[str, Callable[[], object]] = {}
        """What others do once, while a call of this name is under way."""

    @property
    def left(self) -> list[object]:
        return [
            *self.messages,
            *self.conversations,
            *self.journal,
            *["settings"] * self.settings,
            *["account"] * self.account,
        ]

    async def step(self, name: str) -> None:
        assert caller() == ANN
        # Its own token may end in the middle.
        assert caller().subject == TokenSubject("fresh")
        if len(self.steps) == self.ends_at:
            raise DomainError(Reason.UNAVAILABLE, "away")
        self.steps.append(name)
        await asyncio.sleep(self.seconds)
        self.meanwhile.pop(name, lambda: None)()


class OfWorld:
    def __init__(self, world: World) -> None:
        self.world = world


class FakeTokens(OfWorld):
    async def exchange(self, audience: str, subject: TokenSubject | ReservationSubject | None) -> ExchangeTokenResponse:
        assert (audience, subject) == ("conversation", ANN.subject)
        return ExchangeTokenResponse(token="fresh")


class FakeAccounts(OfWorld):
    async def close(self) -> None:
        await self.world.step("close account")
        self.world.closed = True

    async def delete(self) -> dict[str, int]:
        assert self.world.closed
        assert set(self.world.left) <= {"account"}
        self.world.account = False
        await self.world.step("delete account")
        return {"accounts": 1, "api_keys": 4}


class FakeLedger(OfWorld):
    async def reserved(self) -> int:
        await self.world.step("read usage")
        return self.world.reserved


class FakeMetadata(OfWorld):
    async def conversations(self) -> AsyncIterator[list[str]]:
        for start in range(0, len(self.world.conversations), PAGE):
            await self.world.step("list conversations")
            yield self.world.conversations[start : start + PAGE]

    async def some_conversations(self) -> list[str]:
        await self.world.step("list conversations")
        return self.world.conversations[:PAGE]

    async def delete(self, conversation_id: str) -> bool:
        await self.world.step("delete conversation")
        there = conversation_id in self.world.conversations
        if there:
            self.world.conversations.remove(conversation_id)
        return there

    async def delete_settings(self) -> int:
        await self.world.step("delete settings")
        had, self.world.settings = self.world.settings, False
        return int(had)


class FakeHistory(OfWorld):
    async def delete(self, conversation_id: str) -> int:
        count = self.world.messages.pop(conversation_id, 0)
        await self.world.step("delete messages")
        return count


class FakeJournal(OfWorld):
    async def running(self, conversation_id: str) -> list[str]:
        return self.world.running.get(conversation_id, [])

    async def cancel(self, turn: Turn) -> None:
        assert (turn.tenant_id, turn.account_id) == ("default", "ann")
        self.world.stopped.append(turn.reply_id)
        self.world.running.pop(turn.conversation_id, None)
        self.world.reserved = 10 * len(self.world.running)

    async def announce(self, change: Change) -> None:
        assert (change.tenant_id, change.account_id, change.itself) == ("default", "ann", True)

    async def forget(self, conversation_id: str) -> None:
        # While it can still be found: who calls again forgets it, too.
        assert conversation_id in self.world.conversations or conversation_id not in self.world.journal
        self.world.journal.discard(conversation_id)
        await self.world.step("forget replies")


def told_in(world: World) -> Leaving:
    peers = Peers(
        cast("History", FakeHistory(world)), cast("Metadata", FakeMetadata(world)), cast("Ledger", FakeLedger(world))
    )
    removal = Removal(peers, cast("Journal", FakeJournal(world)), cast("Hub", None))
    return Leaving(cast("Tokens", FakeTokens(world)), peers, cast("Accounts", FakeAccounts(world)), removal)


async def delete(world: World) -> Receipt:
    with acting_for(ANN):
        return await told_in(world).delete_account()
