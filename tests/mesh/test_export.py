"""The archive of an account, through the whole mesh."""

import asyncio
import io
import json
from typing import Any
from zipfile import ZipFile

import pytest

from tests.mesh.newcomer import newcomer
from tests.mesh.person import REGENERATE, Person
from tests.mesh.running import Running

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = "Zwölf Boxkämpfer 🥊 jagen 日本\n```\nrm -rf /\n```"


async def export(person: Person) -> ZipFile:
    url = (await person.query("mutation { exportAccount { url } }"))["exportAccount"]["url"]
    answer = await person.http.get(url)
    assert answer.status_code == 200, answer.text
    archive = ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    return archive


def everything(archive: ZipFile) -> str:
    return "".join(archive.read(name).decode() for name in archive.namelist())


async def test_it_holds_what_graphql_tells_and_nothing_of_another(running: Running, ann: Person) -> None:
    secret = await ann.new_conversation(displayName="a secret of Ann's")
    sent = await ann.send(secret, "say: a secret of Ann's")
    await ann.read(secret, sent["reply"]["id"])
    async with newcomer(ann, running.url) as eve:
        program = eve.program
        conversation_id = await program.new_conversation(displayName="Boxing", systemPrompt="Be brief.")
        first = await program.send(conversation_id, f"say: {TEXT}")
        await program.read(conversation_id, first["reply"]["id"])
        again = {"conversationId": conversation_id, "messageId": first["reply"]["id"]}
        other = (await program.query(REGENERATE, input=again))["regenerateReply"]["id"]
        await program.read(conversation_id, other)
        running_on = await program.new_conversation()
        unfinished = (await program.send(running_on, "words=900 go on"))["reply"]

        archives = [await export(eve.browser), await export(program)]
        for archive in archives:
            tree = json.loads(archive.read(f"conversations/{conversation_id}.json"))
            ids = [message["id"] for message in tree["messages"]]
            assert ids == sorted([first["userMessage"]["id"], first["reply"]["id"], other])
            for exported in tree["messages"]:
                told: dict[str, Any] = await program.message(conversation_id, exported["id"])
                del told["siblingIds"]
                assert {name: exported.get(name) for name in told} == told
            text = archive.read(f"conversations/{conversation_id}.md").decode()
            assert f"\n````\nsay: {TEXT}\n````\n" in text
            messages = json.loads(archive.read(f"conversations/{running_on}.json"))["messages"]
            assert [message["status"] for message in messages] == ["COMPLETED", "IN_PROGRESS"]
            assert messages[1]["parameters"]["seed"] >= 0
            assert "still being written" in archive.read(f"conversations/{running_on}.md").decode()
            assert "secret of Ann's" not in everything(archive)
            assert sent["reply"]["id"] not in everything(archive)
            assert eve.account_id in archive.read("account.json").decode()
        await program.cancel(unfinished, running_on)


async def test_it_is_made_while_others_write(running: Running, ann: Person) -> None:
    async with newcomer(ann, running.url) as eve:
        ids = [await eve.program.new_conversation() for _ in range(8)]
        sending = [asyncio.create_task(eve.program.send(each, "words=20 hello")) for each in ids]
        archive = await export(eve.program)
        listed = json.loads(archive.read("conversations.json"))["conversations"]
        assert sorted(each["id"] for each in listed) == sorted(ids)
        await asyncio.gather(*sending)
