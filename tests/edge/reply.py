"""A reply that a test writes and watches."""

from typing import Any

from tests.edge.asking import new_conversation, send
from tests.edge.journal import Journal
from tests.edge.running import Edge
from tests.edge.socket import Socket
from tests.edge.state import Person

WORDS = [f"word {n} \N{WAVING HAND SIGN} " for n in range(40)]
TEXT = "".join(WORDS)


class Reply:
    def __init__(self, conversation_id: str, message_id: str, journal: Journal) -> None:
        self.conversation_id, self.message_id, self.journal = conversation_id, message_id, journal

    async def watch(self, socket: Socket, operation_id: str = "1", after: str | None = None) -> None:
        await socket.watch(operation_id, self.conversation_id, self.message_id, after)


async def new_reply(edge: Edge, person: Person) -> Reply:
    async with edge.client(person) as client:
        conversation_id = await new_conversation(client)
        message_id = await send(client, conversation_id)
    return Reply(conversation_id, message_id, edge.mesh.state.journals[message_id])


async def text_until(socket: Socket, length: int) -> tuple[str, str]:
    """At least so many characters of text, and the cursor behind them."""
    text, cursor = "", ""
    while len(text) < length:
        event = await socket.event()
        text += event.get("text", "")
        cursor = event["cursor"]
    return text, cursor


async def rest(socket: Socket) -> tuple[str, dict[str, Any]]:
    """All further text, and the message that ends it."""
    text = ""
    while (event := await socket.event())["__typename"] != "ReplyEnded":
        text += event.get("text", "")
    assert await socket.receive() == {"id": "1", "type": "complete"}
    message: dict[str, Any] = event["message"]
    return text, message
