"""A person with an account of their own, who may leave."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from services.chassis.ids import new_id
from tests.mesh.person import Person, RefusedError

PASSWORD = "correct horse battery"
GONE = ("UNAUTHENTICATED", "NOT_FOUND")
"""What a credential of a deleted account is told: where an edge still remembers it, there is no account behind it."""
CREATE = "mutation ($input: CreateAccountInput!) { createAccount(input: $input) { id } }"
SIGN_IN = "mutation ($input: SignInInput!) { signIn(input: $input) { id } }"
NEW_KEY = 'mutation { createApiKey(input: { displayName: "test" }) { secret } }'
DELETE = "mutation ($input: DeleteAccountInput!) { deleteAccount(input: $input) { receipt { store kind count } } }"


@dataclass(frozen=True, slots=True)
class Newcomer:
    account_id: str
    email: str
    program: Person
    """With an API key."""
    browser: Person
    """With a session cookie."""
    url: str

    async def sign_in(self) -> httpx.Response:
        """From another browser."""
        given = {"email": self.email, "password": PASSWORD}
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            return await client.post("/graphql", json={"query": SIGN_IN, "variables": {"input": given}})

    async def delete(self, **wrong: str) -> dict[tuple[str, str], int]:
        """The receipt, by store and kind. Raises RefusedError."""
        given = {"confirmation": self.email, "password": PASSWORD, **wrong}
        receipt = (await self.program.query(DELETE, input=given))["deleteAccount"]["receipt"]
        return {(line["store"], line["kind"]): line["count"] for line in receipt}

    async def delete_until_gone(self) -> dict[tuple[str, str], int] | None:
        """As a client does: calls again until it succeeds, or nothing is left that could be asked for."""
        while True:
            try:
                return await self.delete()
            except RefusedError as refused:
                if refused.code in GONE:
                    return None
                if refused.code not in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
                    raise


@asynccontextmanager
async def newcomer(admin: Person, url: str) -> AsyncIterator[Newcomer]:
    email = f"{new_id()}@example.org"
    account: dict[str, Any] = {"email": email, "password": PASSWORD, "displayName": "New"}
    account_id = (await admin.query(CREATE, input=account))["createAccount"]["id"]
    browser = Person(url, "")
    unfinished = Newcomer(account_id, email, browser, browser, url)
    name, value = (await unfinished.sign_in()).headers["set-cookie"].split(";")[0].split("=", 1)
    browser.http.headers.update({"cookie": f"{name}={value}", "x-parley-csrf": "1"})
    program = Person(url, (await browser.query(NEW_KEY))["createApiKey"]["secret"])
    try:
        yield Newcomer(account_id, email, program, browser, url)
    finally:
        await program.close()
        await browser.close()
