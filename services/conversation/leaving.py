"""Leaving: an account goes, with everything that the mesh has of it.

Whoever tells this story may die at any line: the owner's next call tells it again from the first, and finds what is
left. For the account is closed before anything is deleted, so that nothing is added, and deleted after everything else,
so that its owner can still ask; and in between its conversations are the list of what there is to do.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace

from services.chassis.deadline import within
from services.chassis.errors import DomainError, Reason
from services.chassis.identity import Caller, TokenSubject, acting_for, caller
from services.chassis.tokens import Tokens
from services.conversation.at_once import at_once
from services.conversation.peers import Accounts, Peers
from services.conversation.removal import Removal

AT_ONCE = 8
"""Conversations of one account that are removed at the same time."""
WORK_SECONDS = 25.0
"""For one call: less than the token lives that it works with."""
SPARE_SECONDS = 1.0
"""For the answer that it was not enough."""
STOP_SECONDS = 12.0
"""For messages that were being sent and replies that run. What is reserved for longer was left behind by a death."""
POLL_SECONDS = 0.2

Receipt = Counter[tuple[str, str]]
"""How many records were deleted, by store and kind."""


@dataclass(frozen=True, slots=True)
class Leaving:
    tokens: Tokens
    peers: Peers
    accounts: Accounts
    removal: Removal

    async def delete_account(self) -> Receipt:
        """Deletes the caller's account. The receipt is of this call alone.

        Raises DEADLINE_EXCEEDED where the account is too large for one call, and UNAVAILABLE; both can be repeated.
        """
        receipt = Receipt()
        try:
            async with asyncio.timeout(within(WORK_SECONDS + SPARE_SECONDS) - SPARE_SECONDS):
                with acting_for(await self._renewed(caller())):
                    await self._tell(receipt)
        except TimeoutError:
            message = "The account is closed, but not all of it is deleted yet. Repeat the call."
            raise DomainError(Reason.DEADLINE_EXCEEDED, message, retry_after=0) from None
        return receipt

    async def _tell(self, receipt: Receipt) -> None:
        await self.accounts.close()
        receipt["conversation", "running replies"] = await self._stop_replies()
        receipt["metadata", "settings"] = await self.peers.metadata.delete_settings()
        receipt["history", "messages"] = receipt["metadata", "conversations"] = 0
        # Until there are none, and not to the end of one list: somebody may have been creating one.
        while page := await self.peers.metadata.some_conversations():
            for removed in await at_once(AT_ONCE, self.removal.remove, page):
                receipt["history", "messages"] += removed.messages
                receipt["metadata", "conversations"] += removed.conversations
        for kind, count in (await self.accounts.delete()).items():
            receipt["auth", kind.replace("_", " ")] = count

    async def _stop_replies(self) -> int:
        """Returns how many were told to stop, once nothing is reserved any more.

        Whoever writes a message or a reply has reserved its tokens before, and gives them back afterwards. A closed
        account reserves nothing, so from then on nobody writes for it.
        """
        stopped = set[str]()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                while await self.peers.ledger.reserved():
                    async for page in self.peers.metadata.conversations():
                        for turns in await at_once(AT_ONCE, self.removal.stop, page):
                            stopped.update(turn.turn_id for turn in turns)
                    await asyncio.sleep(POLL_SECONDS)
        return len(stopped)

    async def _renewed(self, who: Caller) -> Caller:
        """The same, proved by a token that has its whole life before it."""
        assert isinstance(who.subject, TokenSubject)
        answer = await self.tokens.exchange("conversation", who.subject)
        return replace(who, subject=TokenSubject(answer.token))
