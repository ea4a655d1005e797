"""A conversation's title, after its first reply, while nobody gave it another."""

import asyncio
import logging
import re

from parley.history.v1.history_service_pb2 import Message
from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from parley.metadata.v1.metadata_service_pb2 import Conversation
from services.chassis.errors import DomainError
from services.chassis.identity import caller
from services.chassis.telemetry import log
from services.conversation.peers import Peers
from services.conversation.routing import ReplicaLostError, Router

logger = logging.getLogger(__name__)

MAX_CHARACTERS = 60
MAX_TOKENS = 12
SECONDS = 15.0
"""How long the model may take; after that the question's first words are the title."""

_INSTRUCTION = "Name the topic of the user's message in two to five words. Answer with these words alone."


async def give_title(reply: Message, peers: Peers, router: Router) -> bool:
    """Returns whether it gave one. Does its best: a title is never worth failing a turn that is stored and settled."""
    try:
        conversation = await peers.metadata.conversation(reply.conversation_id)
        if conversation.display_name or not reply.result.text:
            return False
        question = await peers.history.find(reply.conversation_id, reply.parent_id)
        if question is None:
            return False
        title = await _from_model(question.text, reply, router) or _shorten(question.text)
        named = Conversation(conversation_id=conversation.conversation_id, display_name=title, etag=conversation.etag)
        await peers.metadata.update(named, "display_name")
    except DomainError as error:
        log(logger, logging.INFO, "no title", conversation_id=reply.conversation_id, reason=error.reason)
        return False
    return True


async def _from_model(question: str, reply: Message, router: Router) -> str:
    who = caller()
    request = pb.GenerateRequest(
        generation_id=f"{reply.message_id}/title",
        model=reply.request.model,
        owner=pb.GenerationOwner(tenant_id=who.tenant_id, account_id=who.account_id),
        chat=pb.ChatPrompt(
            messages=[
                pb.ChatMessage(role=gen.ROLE_SYSTEM, text=_INSTRUCTION),
                pb.ChatMessage(role=gen.ROLE_USER, text=question[:1000]),
            ]
        ),
        parameters=gen.GenerationParameters(temperature=0, max_output_tokens=MAX_TOKENS, seed=0, stop=["\n"]),
        priority=pb.PRIORITY_BATCH,
    )
    text = ""
    try:
        async with asyncio.timeout(SECONDS), router.generate(request) as generation:
            async for event in generation.events():
                text += event.delta.text
    except (TimeoutError, ReplicaLostError):
        return ""
    except DomainError as error:
        log(logger, logging.WARNING, "no title from the model", reply_id=reply.message_id, reason=error.reason)
        return ""
    return _shorten(text.strip().strip('"*#.'))


def _shorten(text: str) -> str:
    """The first words, on one line, within the limit."""
    line = re.sub(r"\s+", " ", text).strip()
    if len(line) <= MAX_CHARACTERS:
        return line
    return line[: MAX_CHARACTERS - 1].rsplit(" ", 1)[0].rstrip(",;:-") + "…"
