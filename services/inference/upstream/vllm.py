"""vLLM and SGLang: OpenAI's completions, by token ids in both directions (`return_token_ids`).

Recognized by `owned_by` in /v1/models, where both write their own name. Both take a prompt of ids, a seed for each
request, and a salt for the prefix cache; both abort a request whose connection is closed.
"""

from services.inference.upstream.dialect import Asked, Json
from services.inference.upstream.piece import Piece


class TokenCompletions:
    path = "/v1/completions"
    takes_tokens = True

    def __init__(self, queue_gauge: str) -> None:
        self.queue_gauge: str | None = queue_gauge

    def body(self, asked: Asked) -> Json:
        return {
            "model": asked.model,
            "prompt": asked.prompt,
            "max_tokens": asked.max_tokens,
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "seed": asked.seed,
            # A model's own generation_config would set these otherwise.
            "top_k": -1,
            "min_p": 0,
            "repetition_penalty": 1,
            "return_token_ids": True,
            "cache_salt": asked.cache_salt,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def read(self, event: Json) -> Piece:
        details = (event.get("usage") or {}).get("prompt_tokens_details") or {}
        cached = details.get("cached_tokens") or 0
        if not event["choices"]:
            return Piece(cached_prompt_tokens=cached)
        (choice,) = event["choices"]
        tokens = choice.get("token_ids")
        # A release that does not know `return_token_ids` gives the text alone.
        text = choice["text"] if tokens is None else None
        return Piece(tuple(tokens or ()), text, choice.get("finish_reason"), cached)


VLLM = TokenCompletions("vllm:num_requests_waiting")
SGLANG = TokenCompletions("sglang:num_queue_reqs")
