"""AccountService's accounts, through its door."""

import time
from typing import Any

import pytest

from parley.auth.v1 import account_service_pb2 as pb
from services.chassis.errors import Reason
from services.chassis.ids import new_id
from tests.auth.served import PASSWORD, Auth, Client, new_config, refusal, served


async def test_the_operator_creates_accounts_with_roles(operator: Client) -> None:
    account = await operator.create_account("Änn@Example.COM", name="Änn 👋🏽", roles=["user", "admin", "admin"])
    assert (account.email, account.display_name) == ("änn@example.com", "Änn 👋🏽")
    assert list(account.roles) == ["admin", "user"]
    assert account.tenant_id == "default"
    assert abs(account.create_time.seconds - time.time()) < 60
    assert await operator.get_account(account.account_id) == account


async def test_an_admin_creates_and_sees_accounts(auth: Auth, operator: Client) -> None:
    admin = await operator.create_account(roles=["admin"])
    root = auth.client("edge", (await operator.create_key(admin.account_id)).secret)
    account = await root.create_account()
    assert list(account.roles) == ["user"]
    assert await root.get_account(account.account_id) == account
    assert await root.get_account() == admin
    assert list((await root.create_account(roles=["admin"])).roles) == ["admin"]


async def test_others_create_no_accounts(ann: Client, edge: Client) -> None:
    for who in (ann, edge):
        assert (await refusal(who.create_account())).reason is Reason.PERMISSION_DENIED


async def test_where_registration_is_open_anyone_creates_an_account_without_roles(store_url: str) -> None:
    async with served(new_config(store_url, registration="open")) as auth:
        edge = auth.client("edge")
        account = await edge.create_account()
        assert list(account.roles) == ["user"]
        for role in ("admin", "user"):
            assert (await refusal(edge.create_account(roles=[role]))).reason is Reason.PERMISSION_DENIED


async def test_an_address_is_taken_once_whatever_its_case(operator: Client, auth: Auth) -> None:
    account = await operator.create_account("ann@example.com")
    error = await refusal(operator.create_account("ANN@example.com"))
    assert error.reason is Reason.EMAIL_TAKEN
    assert error.metadata == {"account_id": account.account_id}
    admin = await operator.create_account(roles=["admin"])
    root = auth.client("edge", (await operator.create_key(admin.account_id)).secret)
    error = await refusal(root.create_account("ann@example.com"))
    assert (error.reason, error.metadata) == (Reason.EMAIL_TAKEN, {})


async def test_people_see_themselves_alone(ann: Client, bob: Client, edge: Client) -> None:
    own, other = await ann.get_account(), await bob.get_account()
    assert await ann.get_account(own.account_id) == own
    errors = [await refusal(ann.get_account(id_)) for id_ in (other.account_id, new_id())]
    errors.append(await refusal(edge.get_account(own.account_id)))
    assert {str(error) for error in errors} == {"NOT_FOUND: There is no such account."}
    assert (await refusal(edge.get_account())).reason is Reason.PERMISSION_DENIED
    assert (await refusal(ann.get_account("x"))).reason is Reason.INVALID_ARGUMENT


BAD_FIELDS: dict[str, list[Any]] = {
    "email": ["", "x", "@x", "x@", "a b@c", "a@b@c", "a\0@b", "a@b\n", "x" * 250 + "@b.ch"],
    "password": ["", "x" * 11, "x" * 1025, "x" * 12 + "\0"],
    "display_name": ["", "x" * 101, "\0"],
    "roles": [[""], ["root"], ["user", "Admin"]],
}


async def test_bad_accounts_are_refused_and_nothing_is_written(operator: Client) -> None:
    good = {"email": "ann@example.com", "password": PASSWORD, "display_name": "Ann"}
    for field, values in BAD_FIELDS.items():
        for value in values:
            request = pb.CreateAccountRequest(**{**good, field: value})
            error = await refusal(operator.call(operator.accounts.CreateAccount, request))
            assert (error.reason, list(error.fields)) == (Reason.INVALID_ARGUMENT, [field])
    await operator.create_account("ann@example.com")


async def test_limits_are_reached_inclusively(operator: Client) -> None:
    email = "x" * 242 + "@example.com"
    await operator.create_account(email, password="👋" * 1024, name="世" * 100)


async def test_every_fault_is_named_at_once(operator: Client) -> None:
    error = await refusal(operator.create_account("x", password="x", name="", roles=["x"]))
    assert set(error.fields) == {"email", "password", "display_name", "roles"}
    assert "x" * 11 not in str(error)


async def test_calls_without_a_token_are_refused(operator: Client) -> None:
    request = pb.CreateAccountRequest(email="ann@example.com", password=PASSWORD, display_name="Ann")
    with pytest.raises(Exception, match="carries no token"):
        await operator.accounts.CreateAccount(request, timeout=10)
