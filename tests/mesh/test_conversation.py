"""One conversation through all services, by the public door: the promises that every user relies on."""

import asyncio

import pytest

from services.chassis.ids import new_id
from tests.mesh.engines import engines_busy
from tests.mesh.person import REGENERATE, Person, RefusedError
from tests.mesh.running import Running

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_answer_streams_and_is_stored(ann: Person) -> None:
    conversation_id = await ann.new_conversation()
    sent = await ann.send(conversation_id, "words=40 tell me")
    assert (sent["reply"]["status"], sent["reply"]["text"]) == ("IN_PROGRESS", "")
    read = await ann.read(conversation_id, sent["reply"]["id"])
    assert read.ended is not None
    assert (read.ended["status"], read.ended["finishReason"]) == ("COMPLETED", "STOP")
    assert read.text == read.ended["text"]
    assert len(read.text.split()) == 40
    stored = await ann.messages(conversation_id)
    assert [message["id"] for message in stored] == [sent["userMessage"]["id"], sent["reply"]["id"]]
    assert stored[1]["text"] == read.text


async def test_a_cut_socket_resumes_at_its_cursor_byte_for_byte(ann: Person) -> None:
    conversation_id = await ann.new_conversation()
    reply_id = (await ann.send(conversation_id, "words=120 tell me"))["reply"]["id"]
    read = await ann.read_some(conversation_id, reply_id, 60)
    again = await ann.read_some(conversation_id, reply_id, 120)
    assert read.ended is None
    read = await ann.read(conversation_id, reply_id, read)
    again = await ann.read(conversation_id, reply_id, again)
    whole = await ann.read(conversation_id, reply_id)
    assert whole.ended is not None
    assert read.text == again.text == whole.text == whole.ended["text"]


async def test_the_same_call_three_times_at_once_is_one_message_and_one_reply(ann: Person) -> None:
    conversation_id = await ann.new_conversation()
    ids = {"messageId": new_id(), "replyId": new_id()}
    answers = await asyncio.gather(*(ann.send(conversation_id, "words=5 hello", **ids) for _ in range(3)))
    assert {answer["reply"]["id"] for answer in answers} == {ids["replyId"]}
    await ann.read(conversation_id, ids["replyId"])
    again = await ann.send(conversation_id, "words=5 hello", **ids)
    assert again["reply"]["status"] == "COMPLETED"
    stored = await ann.messages(conversation_id)
    assert [message["id"] for message in stored] == [ids["messageId"], ids["replyId"]]
    assert [message["siblingIds"] for message in stored] == [[ids["messageId"]], [ids["replyId"]]]


async def test_two_tabs_that_send_at_once_make_two_branches(ann: Person) -> None:
    conversation_id = await ann.new_conversation()
    root = (await ann.send(conversation_id, "words=3 begin"))["reply"]["id"]
    await ann.read(conversation_id, root)
    one, two = await asyncio.gather(
        ann.send(conversation_id, "words=30 one"), ann.send(conversation_id, "words=30 two")
    )
    assert one["userMessage"]["parentId"] == two["userMessage"]["parentId"] == root
    for sent in (one, two):
        await ann.read(conversation_id, sent["reply"]["id"])
        branch = await ann.messages(conversation_id, sent["reply"]["id"])
        assert [message["id"] for message in branch][1:] == [root, sent["userMessage"]["id"], sent["reply"]["id"]]
        assert len(branch[2]["siblingIds"]) == 2


async def test_cancelling_in_the_middle_keeps_the_text_and_frees_the_slot(running: Running, ann: Person) -> None:
    conversation_id = await ann.new_conversation()
    reply = (await ann.send(conversation_id, "words=900 go on"))["reply"]
    read = await ann.read_some(conversation_id, reply["id"], 40)
    cancelled = await ann.cancel(reply, conversation_id)
    assert (cancelled["status"], cancelled["finishReason"]) == ("CANCELLED", "CANCELLED")
    assert await engines_busy(running) == 0
    read = await ann.read(conversation_id, reply["id"], read)
    assert read.text == cancelled["text"]
    assert (await ann.cancel(reply, conversation_id))["text"] == cancelled["text"]


async def test_cancelling_at_once_leaves_no_generation(running: Running, ann: Person) -> None:
    conversation_id = await ann.new_conversation()
    reply = (await ann.send(conversation_id, "words=900 go on"))["reply"]
    cancelled = await ann.cancel(reply, conversation_id)
    assert cancelled["status"] == "CANCELLED"
    assert await engines_busy(running) == 0


async def test_regenerating_makes_a_sibling(ann: Person) -> None:
    conversation_id = await ann.new_conversation()
    sent = await ann.send(conversation_id, "words=20 hello")
    await ann.read(conversation_id, sent["reply"]["id"])
    wish = {"conversationId": conversation_id, "messageId": sent["reply"]["id"], "replyId": new_id()}
    another = (await ann.query(REGENERATE, input=wish))["regenerateReply"]
    read = await ann.read(conversation_id, another["id"])
    assert another["parentId"] == sent["userMessage"]["id"]
    assert read.ended is not None
    assert read.ended["siblingIds"] == [sent["reply"]["id"], another["id"]]
    assert (await ann.query(REGENERATE, input=wish))["regenerateReply"]["text"] == read.text


async def test_a_conversation_is_named_after_its_first_reply(ann: Person) -> None:
    question = "What is the capital of France?"
    conversation_id = await ann.new_conversation(displayName="")
    sent = await ann.send(conversation_id, question)
    await ann.read(conversation_id, sent["reply"]["id"])
    query = "query ($id: ID!) { conversation(id: $id) { displayName currentLeafId } }"
    async with asyncio.timeout(20):
        while not (named := (await ann.query(query, id=conversation_id))["conversation"])["displayName"]:
            await asyncio.sleep(0.1)
    assert named["displayName"] != question  # the model named it; the question would have been the way out
    assert named["currentLeafId"] == sent["reply"]["id"]


async def test_a_deleted_conversation_is_gone_and_its_reply_stops(running: Running, ann: Person) -> None:
    conversation_id = await ann.new_conversation()
    reply = (await ann.send(conversation_id, "words=900 go on"))["reply"]
    await ann.read_some(conversation_id, reply["id"], 20)
    delete = "mutation ($id: ID!) { deleteConversation(id: $id) }"
    for _ in range(2):
        await ann.query(delete, id=conversation_id)
    for call in (ann.messages(conversation_id), ann.read(conversation_id, reply["id"])):
        with pytest.raises(RefusedError) as refused:
            await call
        assert refused.value.code == "NOT_FOUND"
    async with asyncio.timeout(10):
        while await engines_busy(running):
            await asyncio.sleep(0.05)


async def test_usage_is_settled_once(ann: Person) -> None:
    query = "{ viewer { usage { usedTokens reservedTokens } } }"

    async def used() -> tuple[int, int]:
        usage = (await ann.query(query))["viewer"]["usage"]
        return int(usage["usedTokens"]), int(usage["reservedTokens"])

    async def settled() -> int:
        async with asyncio.timeout(20):
            while (await used())[1]:
                await asyncio.sleep(0.05)
        return (await used())[0]

    before = await settled()
    conversation_id = await ann.new_conversation()
    reply_id = (await ann.send(conversation_id, "words=25 hello"))["reply"]["id"]
    await ann.read(conversation_id, reply_id)
    usage = (await ann.message(conversation_id, reply_id))["usage"]
    assert usage["completionTokens"] >= 25
    assert await settled() - before == usage["promptTokens"] + usage["completionTokens"]


async def test_one_reply_id_in_two_conversations_is_two_replies_and_two_charges(ann: Person) -> None:
    reply_id = new_id()
    texts = []
    for word in ("one", "two"):  # of the same length, so that both reserve the same
        conversation_id = await ann.new_conversation()
        await ann.send(conversation_id, f"say: {word}", replyId=reply_id, parameters={"seed": 1})
        texts.append((await ann.read(conversation_id, reply_id)).text)
        stored = await ann.messages(conversation_id)
        assert stored[-1]["text"] == texts[-1]
    assert texts[0] != texts[1]
