"""llama.cpp's server: its own /completion, which takes a prompt of ids and tells those it drew (`return_tokens`).

Recognized by `owned_by` in /v1/models. A stream tells only the last id of a character that took several, but its text
is whole: such a character is tokenized here. Requests beyond its slots wait in the server. It notices a closed
connection when it next sends. Its cache of prompts knows no salt: whoever shares the server can measure whether a
prompt was asked before, so it is for one tenant.
"""

from services.inference.upstream.dialect import LENGTH, STOP, Asked, Json
from services.inference.upstream.piece import Piece

_FINISH = {"eos": STOP, "word": STOP, "limit": LENGTH}


class LlamaCpp:
    path = "/completion"
    takes_tokens = True
    queue_gauge: str | None = "llamacpp:requests_deferred"

    def body(self, asked: Asked) -> Json:
        return {
            "prompt": asked.prompt,
            "n_predict": asked.max_tokens,
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "seed": asked.seed,
            # The others that it has by default (min_p, top_k, penalties) would change what is drawn from.
            "samplers": ["temperature", "top_p"],
            "return_tokens": True,
            "stream": True,
        }

    def read(self, event: Json) -> Piece:
        tokens, text = tuple(event["tokens"]), event["content"]
        if not event["stop"]:
            return Piece(tokens, text)
        kind = event["stop_type"]
        cached = (event.get("timings") or {}).get("cache_n") or 0
        return Piece(tokens, text, _FINISH.get(kind, kind), cached)
