"""Any server with OpenAI's completions: text in both directions, and tokens as our tokenizer cuts it.

A reply is continued by its text behind the prompt's. As the prompt is text too, a message that spells a special token
cannot be told from the token itself, and is refused.
"""

from services.inference.upstream.dialect import Asked, Json
from services.inference.upstream.piece import Piece


class TextCompletions:
    path = "/v1/completions"
    takes_tokens = False
    queue_gauge: str | None = None

    def body(self, asked: Asked) -> Json:
        return {
            "model": asked.model,
            "prompt": asked.prompt_text,
            "max_tokens": asked.max_tokens,
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "seed": asked.seed,
            "stream": True,
        }

    def read(self, event: Json) -> Piece:
        if not event["choices"]:
            return Piece()
        (choice,) = event["choices"]
        return Piece((), choice["text"], choice.get("finish_reason"))
