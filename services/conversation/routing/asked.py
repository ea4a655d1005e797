"""A request as routing sees it."""

import hashlib

from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from services.conversation.routing.estimate import BYTES_PER_TOKEN, prompt_tokens_of, tokens_of
from services.conversation.routing.policy import Turn

LONG_BEGINNING_TOKENS = 1024
"""A system prompt from here on is worth keeping where it is; a shorter one every replica can have."""


def turn_of(request: pb.GenerateRequest, conversation_id: str) -> Turn:
    """An empty conversation id is for what belongs to no conversation."""
    messages = request.chat.messages
    return Turn(
        key=f"{request.owner.tenant_id}/{conversation_id}" if conversation_id else "",
        prompt_tokens=prompt_tokens_of(request),
        tokens=tokens_of(request),
        cold=not request.emitted_token_ids and not any(said.role == gen.ROLE_ASSISTANT for said in messages),
        beginning=_beginning(request),
    )


def _beginning(request: pb.GenerateRequest) -> str:
    """Names the system prompt, if it is a long one; by tenant, between whom replicas share nothing."""
    first = request.chat.messages[0] if request.chat.messages else pb.ChatMessage()
    text = first.text.encode()
    if first.role != gen.ROLE_SYSTEM or len(text) < LONG_BEGINNING_TOKENS * BYTES_PER_TOKEN:
        return ""
    return f"{request.owner.tenant_id}/{request.model}/{hashlib.blake2b(text, digest_size=16).hexdigest()}"
