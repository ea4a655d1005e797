import httpx

from parley.history.v1 import history_service_pb2
from parley.inference.v1 import generation_pb2
from services.chassis.identity import TokenSubject
from services.chassis.ids import new_id
from tests.edge.asking import ask, data, error, new_conversation, send
from tests.edge.mesh import Mesh
from tests.edge.running import Edge
from tests.edge.state import Person


async def test_the_viewer(client: httpx.AsyncClient, ada: Person) -> None:
    query = "{ viewer { id displayName email roles usage { usedTokens reservedTokens limitTokens resetTime } } }"
    assert (await data(client, query))["viewer"] == {
        "id": ada.account.account_id,
        "displayName": "Ada",
        "email": ada.account.email,
        "roles": ["user"],
        "usage": {
            "usedTokens": 2**40,
            "reservedTokens": 5,
            "limitTokens": None,
            "resetTime": "2027-01-15T08:00:00+00:00",
        },
    }


async def test_models(client: httpx.AsyncClient) -> None:
    assert (await data(client, "{ models { id displayName contextLength ready } }"))["models"] == [
        {"id": "small", "displayName": "Small", "contextLength": 2048, "ready": True},
        {"id": "short", "displayName": "Short", "contextLength": 64, "ready": False},
    ]


CONVERSATION = """
query($id: ID!) {
  conversation(id: $id) {
    id displayName model systemPrompt createTime updateTime currentLeafId pinned archived etag
    messages { nodes { id } pageInfo { hasPreviousPage hasNextPage startCursor endCursor } }
  }
}
"""


async def test_a_conversation(client: httpx.AsyncClient) -> None:
    conversation_id = await new_conversation(client, displayName="First", systemPrompt="Be brief.")
    found = (await data(client, CONVERSATION, id=conversation_id))["conversation"]
    assert found.pop("createTime") <= found.pop("updateTime")
    assert found == {
        "id": conversation_id,
        "displayName": "First",
        "model": "small",
        "systemPrompt": "Be brief.",
        "currentLeafId": None,
        "pinned": False,
        "archived": False,
        "etag": "1",
        "messages": {
            "nodes": [],
            "pageInfo": {"hasPreviousPage": False, "hasNextPage": False, "startCursor": None, "endCursor": None},
        },
    }


MESSAGE = """
query($id: ID!, $conversationId: ID!) {
  message(id: $id, conversationId: $conversationId) {
    id conversationId parentId role text status model finishReason usage { promptTokens completionTokens } createTime
    siblingIds contextStartId failureReason parameters { temperature topP maxOutputTokens seed stop }
  }
}
"""


async def test_a_users_message(client: httpx.AsyncClient) -> None:
    conversation_id, message_id = await new_conversation(client), new_id()
    await send(client, conversation_id, "Hi \N{WAVING HAND SIGN}", messageId=message_id)
    found = (await data(client, MESSAGE, id=message_id, conversationId=conversation_id))["message"]
    assert found.pop("createTime").startswith("20")
    assert found == {
        "id": message_id,
        "conversationId": conversation_id,
        "parentId": None,
        "role": "USER",
        "text": "Hi \N{WAVING HAND SIGN}",
        "status": "COMPLETED",
        "model": None,
        "finishReason": None,
        "usage": None,
        "siblingIds": [message_id],
        "contextStartId": None,
        "failureReason": None,
        "parameters": None,
    }


async def test_a_failed_reply(client: httpx.AsyncClient, mesh: Mesh) -> None:
    conversation_id, message_id = await new_conversation(client), new_id()
    reply_id = await send(client, conversation_id, messageId=message_id, model="short")
    mesh.state.journals[reply_id].append("Half an ans")
    mesh.state.journals[reply_id].end(
        history_service_pb2.MESSAGE_STATUS_FAILED, generation_pb2.FINISH_REASON_ERROR, "ENGINE_FAILED"
    )
    found = (await data(client, MESSAGE, id=reply_id, conversationId=conversation_id))["message"]
    del found["createTime"]
    assert found == {
        "id": reply_id,
        "conversationId": conversation_id,
        "parentId": message_id,
        "role": "ASSISTANT",
        "text": "Half an ans",
        "status": "FAILED",
        "model": "short",
        "finishReason": "ERROR",
        "usage": {"promptTokens": 7, "completionTokens": 3},
        "siblingIds": [reply_id],
        "contextStartId": message_id,
        "failureReason": "ENGINE_FAILED",
        "parameters": {"temperature": 0.5, "topP": 0.9, "maxOutputTokens": 100, "seed": 1, "stop": []},
    }


async def test_what_is_anothers_is_not_found(client: httpx.AsyncClient, edge: Edge, mesh: Mesh) -> None:
    async with edge.client(mesh.state.add_person("Eve")) as eve:
        hers = await new_conversation(eve)
        message_id = await send(eve, hers)
    answer = await ask(client, CONVERSATION, id=hers)
    assert answer["data"] == {"conversation": None}
    assert answer["errors"][0]["extensions"] == {"code": "NOT_FOUND"}
    assert answer["errors"][0]["path"] == ["conversation"]
    assert await error(client, MESSAGE, id=message_id, conversationId=hers) == {"code": "NOT_FOUND"}
    assert await error(client, MESSAGE, id=new_id(), conversationId=new_id()) == {"code": "NOT_FOUND"}


async def test_calls_are_made_for_the_account_and_never_with_its_own_credential(
    client: httpx.AsyncClient, ada: Person, mesh: Mesh
) -> None:
    await data(client, "{ viewer { id } conversations { nodes { id } } }")
    for method in ("GetAccount", "ListConversations"):
        [who] = mesh.state.callers(method)
        assert who is not None
        assert (who.service, who.tenant_id, who.account_id) == ("edge", "default", ada.account.account_id)
        assert isinstance(who.subject, TokenSubject)
        assert ada.api_key not in who.subject.token
