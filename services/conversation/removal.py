"""Removal: a conversation goes, with its messages and its running replies. All of it acts for the caller."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from services.chassis.deadline import within
from services.chassis.errors import DomainError, Reason
from services.chassis.identity import caller
from services.conversation.draft import Turn
from services.conversation.feed import Change
from services.conversation.hub import Hub
from services.conversation.journal import Journal
from services.conversation.peers import Peers

STOP_SECONDS = 10.0
"""How long a removal waits for replies that do not stop."""


class Removed(NamedTuple):
    """What one call deleted."""

    conversations: int
    messages: int


@dataclass(frozen=True, slots=True)
class Removal:
    peers: Peers
    journal: Journal
    hub: Hub

    async def stop(self, conversation_id: str) -> list[Turn]:
        """Tells the running replies to stop, and returns them."""
        who = caller()
        turns = [
            Turn(reply_id, conversation_id, who.tenant_id, who.require_account())
            for reply_id in await self.journal.running(conversation_id)
        ]
        for turn in turns:
            await self.journal.cancel(turn)
        return turns

    async def until_ended(self, turns: list[Turn]) -> None:
        """Waits until the replies have ended, so that nothing more is written."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within(STOP_SECONDS)):
                for turn in turns:
                    await self._until_ended(turn)

    async def _until_ended(self, turn: Turn) -> None:
        try:
            await self.hub.wait(turn)
        except DomainError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise

    async def remove(self, conversation_id: str) -> Removed:
        """Deletes it, its messages, and what the journal has of its replies.

        The messages go first, so that a removal which dies half way is repeated: whose they are, is known to the end.
        """
        messages = await self.peers.history.delete(conversation_id)
        await self.journal.forget(conversation_id)
        deleted = await self.peers.metadata.delete(conversation_id)
        who = caller()
        await self.journal.announce(Change(who.tenant_id, who.require_account(), conversation_id, itself=True))
        # A message that was being sent may have been written in between, and found its conversation still there.
        await self.stop(conversation_id)
        messages += await self.peers.history.delete(conversation_id)
        return Removed(int(deleted), messages)
