"""Accounts: who may create and see them."""

from collections.abc import Mapping, Sequence

from services.auth.clock import Clock
from services.auth.emails import normalized
from services.auth.passwords import Passwords
from services.auth.peers import OPERATOR
from services.auth.records import Account, Owner
from services.auth.sign_in import subject_of
from services.auth.store import AccountStore
from services.chassis.errors import DomainError, Reason, not_found
from services.chassis.identity import Caller
from services.chassis.ids import new_id

ADMIN = "admin"
USER = "user"
KNOWN_ROLES = frozenset({ADMIN, USER})
DEFAULT_TENANT = "default"
"""Of accounts that nobody's tenant creates."""


class Accounts:
    def __init__(self, store: AccountStore, passwords: Passwords, clock: Clock, *, registration_open: bool) -> None:
        self._store, self._passwords, self._clock, self._open = store, passwords, clock, registration_open

    async def create(self, who: Caller, email: str, password: str, display_name: str, roles: Sequence[str]) -> Account:
        """Raises PERMISSION_DENIED and EMAIL_TAKEN."""
        if not (_governs(who) or (self._open and not roles)):
            raise DomainError(Reason.PERMISSION_DENIED, "Only an administrator may create this account.")
        owner = Owner(who.tenant_id or DEFAULT_TENANT, new_id())
        account = Account(owner, normalized(email), display_name, tuple(sorted(set(roles))) or (USER,))
        if not await self._store.create(account, await self._passwords.hash(password)):
            raise await self._taken(who, account.email)
        return account

    async def get(self, who: Caller, account_id: str) -> Account:
        """One's own account, or any of the tenant for an administrator. Raises NOT_FOUND."""
        allowed = account_id == who.account_id or _governs(who)
        account = await self._store.get(Owner(who.tenant_id or DEFAULT_TENANT, account_id)) if allowed else None
        if account is None:
            raise not_found("account")
        return account

    async def close(self, owner: Owner) -> Account:
        """Raises NOT_FOUND."""
        await self._store.close(owner, self._clock())
        account = await self._store.get(owner)
        if account is None:
            raise not_found("account")
        return account

    async def delete(self, owner: Owner) -> Mapping[str, int]:
        """Deletes a closed account; returns how many rows of each kind there were. Raises PERMISSION_DENIED."""
        account = await self._store.get(owner)
        deleted = await self._store.delete(owner, subject_of(account.email if account else ""))
        if deleted is None:
            raise DomainError(Reason.PERMISSION_DENIED, "An account is closed before it is deleted.")
        return deleted

    async def _taken(self, who: Caller, email: str) -> DomainError:
        taken = await self._store.credential(email) if is_operator(who) else None
        return DomainError(
            Reason.EMAIL_TAKEN,
            "There is an account with this e-mail address.",
            # So that setting a deployment up can go on where it was interrupted.
            metadata={"account_id": taken.account.owner.account_id} if taken else {},
        )


def is_operator(who: Caller) -> bool:
    return who.service == OPERATOR and not who.account_id


def _governs(who: Caller) -> bool:
    return is_operator(who) or (bool(who.account_id) and ADMIN in who.roles)
