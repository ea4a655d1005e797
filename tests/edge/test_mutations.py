import asyncio

import httpx
import pytest

from parley.conversation.v1 import conversation_service_pb2
from parley.metadata.v1 import metadata_service_pb2
from services.chassis.errors import DomainError, Reason
from services.chassis.ids import is_id, new_id
from tests.edge.asking import ask, data, error, new_conversation, send
from tests.edge.mesh import Mesh
from tests.edge.running import Edge
from tests.edge.state import Person

CREATE_CONVERSATION = (
    "mutation($input: CreateConversationInput!) { createConversation(input: $input) { id model displayName } }"
)


async def test_a_conversation_takes_the_viewers_model_or_else_the_first(client: httpx.AsyncClient, mesh: Mesh) -> None:
    created = (await data(client, CREATE_CONVERSATION, input={}))["createConversation"]
    assert created["model"] == "small"
    assert is_id(created["id"])
    mesh.state.settings.default_model = "short"
    assert (await data(client, CREATE_CONVERSATION, input={}))["createConversation"]["model"] == "short"
    chosen = await data(client, CREATE_CONVERSATION, input={"model": "small"})
    assert chosen["createConversation"]["model"] == "small"


async def test_an_unknown_model_is_refused_before_anything_is_written(client: httpx.AsyncClient, mesh: Mesh) -> None:
    conversation_id = await new_conversation(client)
    written = len(mesh.state.conversations)
    refusal = await error(client, CREATE_CONVERSATION, input={"model": "gone"})
    assert refusal == {"code": "MODEL_NOT_FOUND", "fields": {"model": "must be the id of a model"}}
    assert len(mesh.state.conversations) == written
    update = {"id": conversation_id, "model": "gone"}
    assert (await error(client, UPDATE, input=update))["code"] == "MODEL_NOT_FOUND"


async def test_creating_with_an_id_is_safe_to_repeat(client: httpx.AsyncClient) -> None:
    given = {"id": new_id(), "displayName": "Once"}
    answers = await asyncio.gather(*(data(client, CREATE_CONVERSATION, input=given) for _ in range(3)))
    assert [answer["createConversation"]["id"] for answer in answers] == [given["id"]] * 3


UPDATE = """
mutation($input: UpdateConversationInput!) {
  updateConversation(input: $input) { displayName model systemPrompt currentLeafId pinned archived etag }
}
"""


async def test_updates_touch_what_they_name(client: httpx.AsyncClient, mesh: Mesh) -> None:
    conversation_id = await new_conversation(client, displayName="Old", systemPrompt="Be brief.")
    leaf = await send(client, conversation_id)
    changes = {"displayName": "New", "model": "short", "pinned": True, "archived": True, "systemPrompt": None}
    updated = (await data(client, UPDATE, input={"id": conversation_id, **changes, "etag": "1"}))["updateConversation"]
    assert updated == {**changes, "currentLeafId": leaf, "etag": "2"}
    [request] = mesh.state.calls("UpdateConversation")
    assert isinstance(request, metadata_service_pb2.UpdateConversationRequest)
    assert set(request.update_mask.paths) == {"display_name", "model", "pinned", "archived", "system_prompt"}
    assert request.conversation.etag == "1"
    cleared = {"id": conversation_id, "currentLeafId": None}
    assert (await data(client, UPDATE, input=cleared))["updateConversation"]["currentLeafId"] is None


async def test_an_update_that_came_too_late(client: httpx.AsyncClient) -> None:
    conversation_id = await new_conversation(client)
    late = {"id": conversation_id, "pinned": True, "etag": "0"}
    assert await error(client, UPDATE, input=late) == {"code": "ETAG_MISMATCH", "metadata": {"etag": "1"}}
    nothing = {"id": conversation_id, "pinned": None}
    assert (await error(client, UPDATE, input=nothing))["fields"] == {"pinned": "must not be null"}


async def test_deleting_a_conversation(client: httpx.AsyncClient, mesh: Mesh) -> None:
    conversation_id = await new_conversation(client)
    answer = await data(client, "mutation($id: ID!) { deleteConversation(id: $id) }", id=conversation_id)
    assert answer == {"deleteConversation": conversation_id}
    assert len(mesh.state.calls("DeleteConversation")) == 1
    assert mesh.state.conversations == {}


SEND = """
mutation($input: SendMessageInput!) {
  sendMessage(input: $input) {
    userMessage { id parentId role text status siblingIds }
    reply { id parentId role text status model parameters { temperature topP maxOutputTokens seed stop } siblingIds }
  }
}
"""


async def test_sending_a_message(client: httpx.AsyncClient) -> None:
    conversation_id, message_id, reply_id = await new_conversation(client), new_id(), new_id()
    parameters = {"temperature": 0.0, "topP": 0.25, "maxOutputTokens": 9, "seed": 2**31 - 1, "stop": ["x", "y"]}
    given = {"conversationId": conversation_id, "text": "Hello", "messageId": message_id, "replyId": reply_id}
    answers = await asyncio.gather(
        *(data(client, SEND, input={**given, "model": "short", "parameters": parameters}) for _ in range(3))
    )
    for answer in answers:
        assert answer["sendMessage"] == {
            "userMessage": {
                "id": message_id,
                "parentId": None,
                "role": "USER",
                "text": "Hello",
                "status": "COMPLETED",
                "siblingIds": [message_id],
            },
            "reply": {
                "id": reply_id,
                "parentId": message_id,
                "role": "ASSISTANT",
                "text": "",
                "status": "IN_PROGRESS",
                "model": "short",
                "parameters": parameters,
                "siblingIds": [reply_id],
            },
        }


async def test_ids_are_made_where_the_client_makes_none(client: httpx.AsyncClient, mesh: Mesh) -> None:
    conversation_id = await new_conversation(client)
    await send(client, conversation_id)
    [request] = mesh.state.calls("SendMessage")
    assert isinstance(request, conversation_service_pb2.SendMessageRequest)
    assert is_id(request.message_id)
    assert is_id(request.reply_id)
    assert request.message_id != request.reply_id
    assert not request.HasField("parent_id")
    assert not request.HasField("parameters")


async def test_an_edit_is_a_branch_from_an_older_message(client: httpx.AsyncClient, mesh: Mesh) -> None:
    conversation_id, first = await new_conversation(client), new_id()
    reply = await send(client, conversation_id, messageId=first)
    await send(client, conversation_id, "One way", messageId=new_id())
    await send(client, conversation_id, "Another", parentId=reply)
    parents = [message.parent_id for message in mesh.state.messages.values() if message.role == 2 and message.parent_id]
    assert parents == [reply, reply]


async def test_regenerating_a_reply(client: httpx.AsyncClient) -> None:
    conversation_id, other_id = await new_conversation(client), new_id()
    reply_id = await send(client, conversation_id)
    query = """
    mutation($input: RegenerateReplyInput!) {
      regenerateReply(input: $input) { id siblingIds model parameters { seed } }
    }
    """
    given = {"conversationId": conversation_id, "messageId": reply_id, "replyId": other_id, "parameters": {"seed": 5}}
    assert (await data(client, query, input=given))["regenerateReply"] == {
        "id": other_id,
        "siblingIds": sorted([reply_id, other_id]),
        "model": "small",
        "parameters": {"seed": 5},
    }


async def test_cancelling_a_reply(client: httpx.AsyncClient, mesh: Mesh) -> None:
    conversation_id = await new_conversation(client)
    reply_id = await send(client, conversation_id)
    mesh.state.journals[reply_id].append("So far")
    answer = await data(
        client,
        "mutation($m: ID!, $c: ID!) { cancelReply(messageId: $m, conversationId: $c) { text status finishReason } }",
        m=reply_id,
        c=conversation_id,
    )
    assert answer["cancelReply"] == {"text": "So far", "status": "CANCELLED", "finishReason": "CANCELLED"}


async def test_api_keys(client: httpx.AsyncClient, edge: Edge, ada: Person) -> None:
    query = """
    mutation($input: CreateApiKeyInput!) {
      createApiKey(input: $input) { apiKey { id displayName secretPrefix createTime expireTime } secret }
    }
    """
    given = {"displayName": "Laptop", "expireTime": "2030-01-02T03:04:05Z"}
    created = (await data(client, query, input=given))["createApiKey"]
    assert created["apiKey"]["expireTime"] == "2030-01-02T03:04:05+00:00"
    async with edge.client(Person(ada.account, created["secret"])) as other:
        listed = await data(other, "{ apiKeys(first: 1) { nodes { id displayName secretPrefix } } }")
        assert listed["apiKeys"]["nodes"] == [
            {"id": created["apiKey"]["id"], "displayName": "Laptop", "secretPrefix": created["secret"][:8]}
        ]
    revoke = "mutation($id: ID!) { revokeApiKey(id: $id) }"
    assert await data(client, revoke, id=created["apiKey"]["id"]) == {"revokeApiKey": created["apiKey"]["id"]}
    assert (await error(client, revoke, id=created["apiKey"]["id"]))["code"] == "NOT_FOUND"


CREATE_ACCOUNT = """
mutation($input: CreateAccountInput!) {
  createAccount(input: $input) { id email displayName usage { usedTokens } }
}
"""
NEWCOMER = {"email": "new@example.org", "password": "twelve letters", "displayName": "New"}


async def test_an_account_is_made_by_nobody_or_by_somebody(client: httpx.AsyncClient, edge: Edge, mesh: Mesh) -> None:
    async with edge.client() as nobody:
        created = (await data(nobody, CREATE_ACCOUNT, input=NEWCOMER))["createAccount"]
        assert (created["email"], created["displayName"], created["usage"]) == ("new@example.org", "New", None)
        assert (await error(nobody, CREATE_ACCOUNT, input=NEWCOMER))["code"] == "EMAIL_TAKEN"
        mesh.state.registration_is_open = False
        closed = await error(nobody, CREATE_ACCOUNT, input={**NEWCOMER, "email": "other@example.org"})
        assert closed["code"] == "PERMISSION_DENIED"
    await error(client, CREATE_ACCOUNT, input=NEWCOMER)
    callers = mesh.state.callers("CreateAccount")
    assert [bool(who and who.account_id) for who in callers] == [False, False, False, True]


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (
            DomainError(Reason.QUOTA_EXCEEDED, "Enough for today.", metadata={"reset_time": "noon"}, retry_after=2.5),
            {"code": "QUOTA_EXCEEDED", "metadata": {"resetTime": "noon"}, "retryAfter": 2.5},
        ),
        (
            DomainError(Reason.INVALID_ARGUMENT, "No.", fields={"parameters.top_p": "must be at most 1"}),
            {"code": "INVALID_ARGUMENT", "fields": {"parameters.topP": "must be at most 1"}},
        ),
        (DomainError(Reason.UNAVAILABLE, "Not now."), {"code": "UNAVAILABLE"}),
    ],
)
async def test_errors_keep_their_reason_fields_and_patience(
    client: httpx.AsyncClient, mesh: Mesh, raised: DomainError, told: dict[str, object]
) -> None:
    conversation_id = await new_conversation(client)
    mesh.state.failures["SendMessage"] = raised
    answer = await ask(client, SEND, input={"conversationId": conversation_id, "text": "Hello"})
    assert answer["data"] is None
    assert answer["errors"][0]["message"] == raised.message
    assert answer["errors"][0]["extensions"] == told
