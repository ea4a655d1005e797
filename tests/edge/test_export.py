"""What is in the archive of an account."""

import io
import json
from collections.abc import Iterable
from typing import Any
from zipfile import ZipFile

import httpx

from parley.history.v1 import history_service_pb2 as history_pb
from parley.inference.v1 import generation_pb2 as gen
from services.chassis.ids import new_id, time_of
from tests.edge.asking import data, new_conversation, send
from tests.edge.mesh import Mesh
from tests.edge.state import Person

TEXT = "Zwölf Boxkämpfer 🥊 jagen 日本\n```\nrm -rf /\n```\n# not a heading\u2028"


async def export(client: httpx.AsyncClient) -> ZipFile:
    answer = await client.get((await data(client, "mutation { exportAccount { url } }"))["exportAccount"]["url"])
    assert answer.status_code == 200, answer.text
    archive = ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    return archive


def read(archive: ZipFile, name: str) -> Any:
    return json.loads(archive.read(name))


def end(mesh: Mesh, reply_id: str, text: str) -> None:
    journal = mesh.state.journals[reply_id]
    journal.append(text)
    journal.end()


async def test_an_archive_holds_what_graphql_tells(client: httpx.AsyncClient, mesh: Mesh) -> None:
    conversation_id = await new_conversation(client, displayName="A <b> & [c](d)\n# e", systemPrompt="Be `brief`.")
    first = await send(client, conversation_id, TEXT)
    end(mesh, first, TEXT)
    other = await send(client, conversation_id, "Another way", parentId=mesh.state.messages[first].parent_id)
    end(mesh, other, "Indeed.")
    last = await send(client, conversation_id, "And now?")
    empty = await new_conversation(client)
    archive = await export(client)
    assert sorted(archive.namelist()) == sorted(
        ["README.md", "account.json", "conversations.json"]
        + [f"conversations/{each}.{kind}" for each in (conversation_id, empty) for kind in ("json", "md")]
    )

    query = "{ viewer { id email displayName roles usage { usedTokens resetTime } } }"
    viewer = (await data(client, query))["viewer"]
    account = read(archive, "account.json")["account"]
    assert {name: account[name] for name in ("id", "email", "displayName", "roles")} == {
        name: viewer[name] for name in ("id", "email", "displayName", "roles")
    }
    assert account["usage"].items() >= viewer["usage"].items()

    fields = "id displayName model systemPrompt createTime updateTime currentLeafId pinned archived"
    nodes = (await data(client, f"{{ conversations {{ nodes {{ {fields} }} }} }}"))["conversations"]["nodes"]
    listed = read(archive, "conversations.json")["conversations"]
    assert [{**one, "labels": {}} for one in nodes] == listed

    tree = read(archive, f"conversations/{conversation_id}.json")
    assert tree["conversation"] == next(one for one in listed if one["id"] == conversation_id)
    ids = [message["id"] for message in tree["messages"]]
    assert ids == sorted(mesh.state.messages)
    query = """query($id: ID!, $c: ID!) { message(id: $id, conversationId: $c) {
      id parentId role text status createTime model finishReason usage { promptTokens completionTokens } contextStartId
      failureReason parameters { temperature topP maxOutputTokens seed stop } } }"""
    for exported in tree["messages"]:
        message = (await data(client, query, id=exported["id"], c=conversation_id))["message"]
        assert {name: exported.get(name) for name in message} == message
    assert next(one for one in tree["messages"] if one["id"] == last)["status"] == "IN_PROGRESS"
    assert read(archive, f"conversations/{empty}.json")["messages"] == []


async def test_the_markdown_is_the_branch_that_is_shown(client: httpx.AsyncClient, mesh: Mesh) -> None:
    conversation_id = await new_conversation(client, displayName="Boxing & <more>", systemPrompt="Be brief.")
    first = await send(client, conversation_id, TEXT)
    end(mesh, first, "Never shown again")
    other = await send(client, conversation_id, "Another way", parentId=mesh.state.messages[first].parent_id)
    end(mesh, other, "Indeed.")
    await send(client, conversation_id, "And now?")
    archive = await export(client)
    text = archive.read(f"conversations/{conversation_id}.md").decode()
    assert text.startswith("# Boxing \\& \\<more\\>\n")
    shown = ["Be brief.", TEXT, "Another way", "Indeed.", "And now?", "still being written"]
    places = [text.index(each) for each in shown]
    assert places == sorted(places)
    assert "Never shown again" not in text
    contents = archive.read("README.md").decode()
    assert f"[Boxing \\& \\<more\\>](conversations/{conversation_id}.md)" in contents


async def test_nothing_secret_is_in_it(client: httpx.AsyncClient, ada: Person) -> None:
    query = 'mutation { createApiKey(input: { displayName: "Laptop" }) { apiKey { secretPrefix } secret } }'
    made = (await data(client, query))["createApiKey"]
    archive = await export(client)
    [key] = read(archive, "account.json")["account"]["apiKeys"]
    assert (key["displayName"], set(key)) == ("Laptop", {"displayName", "createTime", "expireTime"})
    everything = b"".join(archive.read(name) for name in archive.namelist()).decode()
    assert ada.api_key not in everything
    assert made["secret"] not in everything
    assert f'"{made["apiKey"]["secretPrefix"]}"' not in everything


def write_long(mesh: Mesh, conversation_id: str, ada: Person, texts: Iterable[str]) -> None:
    """A branch of messages with these texts."""
    conversation = mesh.state.conversations[ada.account.account_id, conversation_id]
    for text in texts:
        message = history_pb.Message(
            conversation_id=conversation_id,
            message_id=new_id(),
            parent_id=conversation.current_leaf_id or None,
            role=gen.ROLE_USER,
            text=text,
            status=history_pb.MESSAGE_STATUS_COMPLETED,
        )
        message.create_time.FromDatetime(time_of(message.message_id))
        mesh.state.messages[message.message_id] = message
        conversation.current_leaf_id = message.message_id


async def test_many_pages_and_large_messages(client: httpx.AsyncClient, mesh: Mesh, ada: Person) -> None:
    long, large = await new_conversation(client), await new_conversation(client)
    write_long(mesh, long, ada, ["short"] * 450)
    write_long(mesh, large, ada, ["é`" * 350_000] * 3)
    archive = await export(client)
    messages = read(archive, f"conversations/{long}.json")["messages"]
    assert [message["parentId"] for message in messages] == [None, *(message["id"] for message in messages[:-1])]
    assert len(messages) == 450
    assert archive.read(f"conversations/{long}.md").decode().count("## You") == 450
    assert [message["text"] for message in read(archive, f"conversations/{large}.json")["messages"]] == [
        "é`" * 350_000
    ] * 3


async def test_conversations_that_change_meanwhile_are_in_it_once(
    client: httpx.AsyncClient, mesh: Mesh, ada: Person
) -> None:
    ids = [await new_conversation(client) for _ in range(130)]

    def use_the_oldest() -> None:
        key = (ada.account.account_id, ids[0])
        mesh.state.conversations[key] = mesh.state.conversations.pop(key)

    mesh.state.after["ListConversations"] = use_the_oldest
    archive = await export(client)
    assert sorted(one["id"] for one in read(archive, "conversations.json")["conversations"]) == sorted(ids)
    assert len(archive.namelist()) == len(set(archive.namelist())) == 3 + 2 * 130


async def test_a_conversation_that_is_deleted_meanwhile_is_left_out(
    client: httpx.AsyncClient, mesh: Mesh, ada: Person
) -> None:
    gone, kept = await new_conversation(client), await new_conversation(client)
    mesh.state.after["ListConversations"] = lambda: mesh.state.conversations.pop((ada.account.account_id, gone))
    names = (await export(client)).namelist()
    assert f"conversations/{kept}.md" in names
    assert f"conversations/{gone}.md" not in names
