"""Messages that tests write."""

import random
import uuid
from datetime import UTC, datetime

from services.chassis.ids import new_id
from services.history.store import FinishReason, Message, Request, Result, Role, Status

REQUEST = Request(
    model="m",
    temperature=0.7,
    top_p=0.9,
    max_output_tokens=100,
    stop=("a", "ß"),
    seed=7,
    system_prompt="Be brief.",
    context_start_id=None,
)


def user_message(conversation_id: str, *, parent_id: str | None = None, text: str = "hello") -> Message:
    return Message("default", "ann", conversation_id, new_id(), parent_id, Role.USER, text)


def reply_to(parent: Message) -> Message:
    return Message(
        "default", "ann", parent.conversation_id, new_id(), parent.message_id, Role.ASSISTANT, "", request=REQUEST
    )


def result(text: str = "hi", status: Status = Status.COMPLETED) -> Result:
    return Result(status, text, FinishReason.STOP, 3, 5, "", datetime.fromtimestamp(1_700_000_000.25, UTC))


def id_of(milliseconds: int) -> str:
    """A UUIDv7 of that time, random otherwise."""
    low = random.getrandbits(80)
    value = milliseconds << 80 | low & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62
    return str(uuid.UUID(int=value))
