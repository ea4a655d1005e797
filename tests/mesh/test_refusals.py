"""Bad input gets a clear error, and nothing is written."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from services.chassis.ids import new_id
from tests.mesh.person import REGENERATE, Person, Read, RefusedError
from tests.mesh.running import Running

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def bob(running: Running, ann: Person) -> AsyncIterator[Person]:
    """Another account, signed in by e-mail and password."""
    email = f"{new_id()}@example.org"
    password = "correct horse battery"
    await ann.query(
        "mutation ($input: CreateAccountInput!) { createAccount(input: $input) { id } }",
        input={"email": email, "password": password, "displayName": "Bob"},
    )
    guest = Person(running.url, "")
    guest.http.headers["x-parley-csrf"] = "1"
    signed_in = await guest.http.post(
        "/graphql",
        json={
            "query": "mutation ($input: SignInInput!) { signIn(input: $input) { email } }",
            "variables": {"input": {"email": email, "password": password}},
        },
    )
    assert signed_in.json()["data"]["signIn"]["email"] == email
    name, value = signed_in.headers["set-cookie"].split(";")[0].split("=", 1)
    guest.http.headers["cookie"] = f"{name}={value}"
    key = await guest.query(
        'mutation { createApiKey(input: { displayName: "test" }) { secret } }',
    )
    await guest.close()
    person = Person(running.url, key["createApiKey"]["secret"])
    yield person
    await person.close()


async def code_of(call: Any) -> str:
    with pytest.raises(RefusedError) as refused:
        await call
    return refused.value.code


async def test_what_is_anothers_is_not_found(ann: Person, bob: Person) -> None:
    conversation_id = await ann.new_conversation()
    sent = await ann.send(conversation_id, "words=5 a secret")
    reply = sent["reply"]
    await ann.read(conversation_id, reply["id"])
    assert await code_of(bob.messages(conversation_id)) == "NOT_FOUND"
    assert (await bob.query("{ conversations { nodes { id } } }"))["conversations"]["nodes"] == []
    assert await code_of(bob.send(conversation_id, "hello")) == "NOT_FOUND"
    assert await code_of(bob.cancel(reply, conversation_id)) == "NOT_FOUND"
    assert await code_of(bob.read(conversation_id, reply["id"])) == "NOT_FOUND"
    wish = {"conversationId": conversation_id, "messageId": reply["id"], "replyId": new_id()}
    assert await code_of(bob.query(REGENERATE, input=wish)) == "NOT_FOUND"
    await bob.query("mutation ($id: ID!) { deleteConversation(id: $id) }", id=conversation_id)
    assert len(await ann.messages(conversation_id)) == 2


SENDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unknown conversation": ({"conversationId": new_id()}, "NOT_FOUND", ""),
    "an unknown parent": ({"parentId": new_id()}, "NOT_FOUND", ""),
    "an id that is no UUIDv7": ({"messageId": str(uuid.uuid4())}, "INVALID_ARGUMENT", "messageId"),
    "a reply id like the message's": (
        {"messageId": (same := new_id()), "replyId": same},
        "INVALID_ARGUMENT",
        "replyId",
    ),
    "an empty text": ({"text": ""}, "INVALID_ARGUMENT", "text"),
    "only white space": ({"text": " \n\t"}, "INVALID_ARGUMENT", "text"),
    "a text that is too long": ({"text": "x" * 262_145}, "INVALID_ARGUMENT", "text"),
    "NUL in a text": ({"text": "a\0b"}, "INVALID_ARGUMENT", "text"),
    "an unknown model": ({"model": "gpt-0"}, "MODEL_NOT_FOUND", ""),
    "a temperature out of range": ({"parameters": {"temperature": 2.1}}, "INVALID_ARGUMENT", "parameters.temperature"),
    "a top-p of 0": ({"parameters": {"topP": 0}}, "INVALID_ARGUMENT", "parameters.topP"),
    "no tokens at all": ({"parameters": {"maxOutputTokens": 0}}, "INVALID_ARGUMENT", "parameters.maxOutputTokens"),
    "more tokens than there are": ({"parameters": {"maxOutputTokens": 10**6}}, "INVALID_ARGUMENT", "maxOutputTokens"),
    "a negative seed": ({"parameters": {"seed": -1}}, "INVALID_ARGUMENT", "parameters.seed"),
    "an empty stop string": ({"parameters": {"stop": [""]}}, "INVALID_ARGUMENT", "parameters.stop"),
    "a message past the context": ({"text": "x " * 20_000}, "CONTEXT_LENGTH_EXCEEDED", ""),
}


@pytest.mark.parametrize("what", SENDS)
async def test_a_bad_message_is_refused_and_not_written(ann: Person, what: str) -> None:
    change, code, field = SENDS[what]
    conversation_id = await ann.new_conversation()
    fields = {"text": "hello", **change}
    with pytest.raises(RefusedError) as refused:
        await ann.send(fields.pop("conversationId", conversation_id), fields.pop("text"), **fields)
    assert refused.value.code == code
    extensions = refused.value.errors[0]["extensions"]
    if field:
        assert any(field in name for name in extensions["fields"])
    if code == "CONTEXT_LENGTH_EXCEEDED":
        assert set(extensions["metadata"]) == {"tokenCount", "maxOutputTokens", "contextLength"}
    assert await ann.messages(conversation_id) == []
    usage = (await ann.query("{ viewer { usage { reservedTokens } } }"))["viewer"]["usage"]
    assert int(usage["reservedTokens"]) == 0


async def test_a_used_id_with_other_content_is_a_conflict(ann: Person) -> None:
    conversation_id = await ann.new_conversation()
    sent = await ann.send(conversation_id, "words=3 one")
    ids = {"messageId": sent["userMessage"]["id"], "replyId": sent["reply"]["id"]}
    await ann.read(conversation_id, ids["replyId"])
    assert await code_of(ann.send(conversation_id, "words=3 two", **ids)) == "MESSAGE_CONFLICT"
    assert await code_of(ann.send(conversation_id, "three", replyId=ids["replyId"])) == "MESSAGE_CONFLICT"
    changed = {**ids, "parameters": {"temperature": 0.1}}
    assert await code_of(ann.send(conversation_id, "words=3 one", **changed)) == "MESSAGE_CONFLICT"
    assert len(await ann.messages(conversation_id, ids["replyId"])) == 2


async def test_following_a_reply_that_is_still_written_is_refused(ann: Person) -> None:
    conversation_id = await ann.new_conversation()
    reply = (await ann.send(conversation_id, "words=900 go on"))["reply"]
    assert await code_of(ann.send(conversation_id, "and?", parentId=reply["id"])) == "REPLY_IN_PROGRESS"
    await ann.cancel(reply, conversation_id)


async def test_a_cursor_of_another_reply_is_refused(ann: Person) -> None:
    conversation_id = await ann.new_conversation()
    one = (await ann.send(conversation_id, "words=3 one"))["reply"]["id"]
    read = await ann.read(conversation_id, one)
    two = (await ann.send(conversation_id, "words=3 two"))["reply"]["id"]
    await ann.read(conversation_id, two)
    for cursor in (read.cursor, "garbage"):
        assert await code_of(ann.read(conversation_id, two, Read(cursor=cursor))) == "INVALID_CURSOR"


@pytest.mark.parametrize("arguments", ["first: -1", "first: 0", "first: 100000", 'after: "garbage"'])
async def test_bad_pages_are_refused(ann: Person, arguments: str) -> None:
    assert await code_of(ann.query(f"{{ conversations({arguments}) {{ nodes {{ id }} }} }}")) in (
        "INVALID_ARGUMENT",
        "INVALID_PAGE_TOKEN",
        "BAD_USER_INPUT",
    )


async def test_without_credentials_nothing_is_told(running: Running) -> None:
    for key in ("", "pk_nonsense", "e30.e30.e30"):
        stranger = Person(running.url, key)
        assert await code_of(stranger.query("{ viewer { id } }")) == "UNAUTHENTICATED"
        await stranger.close()


async def test_a_long_conversation_leaves_out_its_oldest_turns_and_says_so(ann: Person) -> None:
    conversation_id = await ann.new_conversation()
    last = None
    for _ in range(5):
        last = await ann.send(conversation_id, "words=2 " + "word " * 450, parameters={"maxOutputTokens": 4096})
        await ann.read(conversation_id, last["reply"]["id"])
    assert last is not None
    stored = await ann.messages(conversation_id)
    start = stored[-1]["contextStartId"]
    assert start is not None
    assert start in [message["id"] for message in stored if message["role"] == "USER"][1:]
