"""How many tokens a generation takes, without asking anybody."""

from parley.inference.v1 import inference_service_pb2 as pb

BYTES_PER_TOKEN = 4
"""Of English text. It only weighs turns against each other, so that other languages do no harm."""
MESSAGE_TOKENS = 8
"""Of a chat template, for each message."""


def prompt_tokens_of(request: pb.GenerateRequest) -> int:
    """Of everything that is computed before the next token: the prompt, and the reply as far as there is one."""
    chat = request.chat.messages
    text = sum(len(message.text.encode()) for message in chat) // BYTES_PER_TOKEN + MESSAGE_TOKENS * len(chat)
    return text + len(request.tokens.token_ids) + len(request.emitted_token_ids)


def tokens_of(request: pb.GenerateRequest) -> int:
    """Of the whole generation, as long as it may get."""
    left = max(0, request.parameters.max_output_tokens - len(request.emitted_token_ids))
    return prompt_tokens_of(request) + left
