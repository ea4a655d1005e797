"""Deleting an account at the edge: who may, and what a client is told."""

import httpx
import pytest

from services.chassis.errors import DomainError, Reason
from tests.edge.asking import ask, data, error, new_conversation
from tests.edge.mesh import Mesh
from tests.edge.running import Edge
from tests.edge.socket import open_socket
from tests.edge.state import PASSWORD, Person
from tests.edge.test_mutations import CREATE_CONVERSATION
from tests.edge.test_session import VIEWER, session, sign_in

DELETE = """
mutation($input: DeleteAccountInput!) { deleteAccount(input: $input) { receipt { store kind count } } }
"""


def confirmed(person: Person) -> dict[str, str]:
    return {"confirmation": person.account.email, "password": PASSWORD}


async def test_a_deleted_account_is_gone_at_once(client: httpx.AsyncClient, edge: Edge, ada: Person) -> None:
    await new_conversation(client)
    async with edge.client() as browser:
        browser.headers.update(session(await sign_in(browser, ada)))
        await data(browser, VIEWER)
        answer = await browser.post("/graphql", json={"query": DELETE, "variables": {"input": confirmed(ada)}})
        receipt = [{"store": "metadata", "kind": "conversations", "count": 1}]
        assert answer.json() == {"data": {"deleteAccount": {"receipt": receipt}}}
        assert answer.headers["set-cookie"].startswith("__Host-parley=; Max-Age=0;")
        for used_before in (browser, client):
            assert (await ask(used_before, VIEWER))["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_program_deletes_its_account_and_gets_no_cookie(client: httpx.AsyncClient, ada: Person) -> None:
    answer = await client.post("/graphql", json={"query": DELETE, "variables": {"input": confirmed(ada)}})
    assert "errors" not in answer.json()
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("wrong", "refusal"),
    [
        ({"confirmation": "delete my account"}, {"code": "INVALID_ARGUMENT", "fields": ["confirmation"]}),
        ({"confirmation": ""}, {"code": "INVALID_ARGUMENT", "fields": ["confirmation"]}),
        ({"confirmation": "ADA"}, {"code": "INVALID_ARGUMENT", "fields": ["confirmation"]}),
        ({"password": "a guess, a long one"}, {"code": "INVALID_CREDENTIALS", "fields": []}),
        ({"password": ""}, {"code": "INVALID_CREDENTIALS", "fields": []}),
    ],
)
async def test_who_does_not_confirm_it_deletes_nothing(
    client: httpx.AsyncClient, mesh: Mesh, ada: Person, wrong: dict[str, str], refusal: dict[str, object]
) -> None:
    if wrong.get("confirmation") == "ADA":
        wrong = {"confirmation": ada.account.email.upper()}
    extensions = await error(client, DELETE, input={**confirmed(ada), **wrong})
    assert {"code": extensions["code"], "fields": list(extensions.get("fields", ()))} == refusal
    assert mesh.state.calls("DeleteAccount") == []


async def test_another_accounts_confirmation_counts_for_nothing(client: httpx.AsyncClient, mesh: Mesh) -> None:
    bob = mesh.state.add_person("Bob")
    assert (await error(client, DELETE, input=confirmed(bob)))["code"] == "INVALID_ARGUMENT"
    assert mesh.state.calls("DeleteAccount") == []


async def test_a_cookie_deletes_nothing_from_another_site(edge: Edge, mesh: Mesh, ada: Person) -> None:
    async with edge.client() as browser:
        cookie = {"cookie": session(await sign_in(browser, ada))["cookie"]}
        body = {"query": DELETE, "variables": {"input": confirmed(ada)}}
        assert (await browser.post("/graphql", json=body, headers=cookie)).status_code == 403
    assert mesh.state.calls("DeleteAccount") == []


async def test_a_deletion_that_was_cut_short_is_repeated(client: httpx.AsyncClient, mesh: Mesh, ada: Person) -> None:
    await new_conversation(client)
    mesh.state.dies_while_deleting = True
    assert await error(client, DELETE, input=confirmed(ada)) == {"code": "DEADLINE_EXCEEDED", "retryAfter": 0}
    assert (await data(client, "{ viewer { closeTime } }"))["viewer"]["closeTime"] is not None
    # A wrong password counts as little as before.
    wrong = {**confirmed(ada), "password": "a guess, a long one"}
    assert (await error(client, DELETE, input=wrong))["code"] == "INVALID_CREDENTIALS"
    assert (await data(client, DELETE, input=confirmed(ada)))["deleteAccount"]["receipt"][0]["count"] == 1


async def test_a_closed_account_keeps_no_new_conversation(client: httpx.AsyncClient, mesh: Mesh, ada: Person) -> None:
    await data(client, VIEWER)
    mesh.state.accounts[ada.account.account_id].close_time.GetCurrentTime()
    assert (await error(client, CREATE_CONVERSATION, input={}))["code"] == "ACCOUNT_CLOSED"
    del mesh.state.accounts[ada.account.account_id]
    assert (await error(client, CREATE_CONVERSATION, input={}))["code"] == "ACCOUNT_CLOSED"
    assert len(mesh.state.calls("CreateConversation")) == 2
    assert mesh.state.conversations == {}


async def test_conversations_are_created_while_auth_is_away(client: httpx.AsyncClient, mesh: Mesh) -> None:
    await data(client, VIEWER)
    mesh.state.failures["GetAccount"] = DomainError(Reason.UNAVAILABLE, "away")
    assert await new_conversation(client)
    assert len(mesh.state.conversations) == 1


async def test_a_socket_cannot_clear_a_cookie(edge: Edge, mesh: Mesh, ada: Person) -> None:
    async with open_socket(edge, ada) as socket:
        await socket.subscribe("1", DELETE, input=confirmed(ada))
        [refusal] = (await socket.receive())["payload"]["errors"]
        assert refusal["extensions"] == {"code": "INVALID_ARGUMENT"}
    assert mesh.state.calls("DeleteAccount") == []
