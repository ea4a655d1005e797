"""The exchange of what a service holds for a token to one other service (RFC 8693)."""

from dataclasses import dataclass
from datetime import timedelta

from services.auth import api_keys, sessions
from services.auth.api_keys import ApiKeys
from services.auth.clock import Clock
from services.auth.keys import KeyRing
from services.auth.ledger import Ledger
from services.auth.peers import CONVERSATION, EDGE
from services.auth.records import Account, Owner
from services.auth.refusals import gone
from services.auth.sessions import Sessions
from services.auth.store import AccountStore
from services.auth.tokens import ACCESS_AUDIENCE, ACCESS_TYPE, Subject, proof_time
from services.chassis.errors import DomainError, Reason
from services.chassis.identity import is_inner, verify, verify_inner


@dataclass(frozen=True, slots=True)
class Exchange:
    """Says for whom a service may act. What is revoked, ended or expired is UNAUTHENTICATED."""

    accounts: AccountStore
    api_keys: ApiKeys
    sessions: Sessions
    ledger: Ledger
    ring: KeyRing
    clock: Clock
    longest_chain: timedelta
    """How long tokens may follow from one another after a credential was checked."""

    async def by_token(self, service: str, token: str) -> Subject:
        """A service brings a token that was made for calls to it; the edge also what users sign in with."""
        if is_inner(token):
            return await self._passed_on(service, token)
        if service != EDGE:
            raise DomainError(Reason.PERMISSION_DENIED, "Only the edge takes what users sign in with.")
        return await self._subject(await self._user(token))

    async def by_reservation(self, service: str, reservation_id: str) -> Subject:
        if service != CONVERSATION:
            raise DomainError(Reason.PERMISSION_DENIED, "Only the conversation service acts for a reservation.")
        return await self._subject(await self.ledger.owner_of(reservation_id))

    async def _passed_on(self, service: str, token: str) -> Subject:
        who = await verify_inner(token, service, self.ring)
        subject = Subject(Owner(who.tenant_id, who.require_account()), tuple(sorted(who.roles)), proof_time(token))
        # Else two services could keep a revoked credential alive between them for ever.
        if self.clock() - subject.proof_time > self.longest_chain:
            raise DomainError(Reason.UNAUTHENTICATED, "The credential behind the token was checked too long ago.")
        await self._account(subject.owner)
        return subject

    async def _user(self, token: str) -> Owner:
        if token.startswith(api_keys.PREFIX):
            return await self.api_keys.owner_of(token)
        if token.startswith(sessions.PREFIX):
            return (await self.sessions.of_token(token)).owner
        claims = await verify(token, ACCESS_TYPE, ACCESS_AUDIENCE, self.ring)
        return (await self.sessions.require(str(claims.get("sid", "")))).owner

    async def _subject(self, owner: Owner) -> Subject:
        return Subject(owner, (await self._account(owner)).roles, self.clock())

    async def _account(self, owner: Owner) -> Account:
        account = await self.accounts.get(owner)
        if account is None:
            raise gone()
        return account
