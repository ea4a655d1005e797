"""Runs transformers: `python -m benchmarks.engine.transformers_engine MODEL generate|batching`, in float32."""

import asyncio
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import torch
from transformers import AutoModelForCausalLM, ContinuousBatchingConfig, GenerationConfig
from transformers.generation.streamers import BaseStreamer
from transformers.utils import logging

from benchmarks.engine.child import answer_all, say
from benchmarks.engine.plan import CONTEXT_TOKENS, TEMPERATURE, TOP_P
from benchmarks.engine.replies import Reply, to_json

PADDING = 0
NO_TOKEN = -1
PAGE_TOKENS = 256
BATCH_TOKENS = 512
"""What a step of its continuous batching takes at most; it wants to be told where it finds no GPU."""

Ask = Callable[[Sequence[list[int]], int], list[Reply]]


class Clock(BaseStreamer):
    """Notes when each step of `generate` brought its tokens."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        del value
        self.times.append(time.perf_counter())

    def end(self) -> None:
        pass


def generate(model: Any) -> Ask:
    model.generation_config.eos_token_id = None

    def ask(prompts: Sequence[list[int]], tokens: int) -> list[Reply]:
        began, clock = time.perf_counter(), Clock()
        width = max(map(len, prompts))
        rows = torch.tensor([[PADDING] * (width - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        config = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=True, temperature=TEMPERATURE, top_p=TOP_P, max_new_tokens=tokens, pad_token_id=PADDING
        )
        made = model.generate(rows, attention_mask=mask, generation_config=config, streamer=clock)
        times = tuple(at - began for at in clock.times[1:])  # the first were the prompts
        return [Reply(tuple(row[width:].tolist()), times) for row in made]

    return ask


def batching(model: Any, slots: int) -> Ask:
    sampling = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=True, temperature=TEMPERATURE, top_p=TOP_P, eos_token_id=NO_TOKEN
    )
    config = ContinuousBatchingConfig(
        page_size=PAGE_TOKENS,
        num_blocks=slots * CONTEXT_TOKENS // PAGE_TOKENS,
        max_batch_tokens=BATCH_TOKENS,
        allow_block_sharing=False,
    )
    manager = model.init_continuous_batching(generation_config=sampling, continuous_batching_config=config)
    manager.start()
    names = map(str, itertools.count())

    def ask(prompts: Sequence[list[int]], tokens: int) -> list[Reply]:
        began = time.perf_counter()
        replies: dict[str, Reply] = {}
        for prompt in prompts:
            name = next(names)
            replies[name] = Reply((), ())
            manager.add_request(prompt, name, max_new_tokens=tokens, streaming=True, eos_token_id=NO_TOKEN)
        unfinished = set(replies)
        while unfinished:
            result = manager.get_result(timeout=1)
            if result is None:
                if not manager.is_running():
                    raise RuntimeError("It stopped.")
                continue
            before = replies[result.request_id]
            came = len(result.generated_tokens) - len(before.times)
            times = before.times + (time.perf_counter() - began,) * came
            replies[result.request_id] = Reply(tuple(result.generated_tokens), times)
            if result.is_finished():
                unfinished.discard(result.request_id)
        return list(replies.values())

    return ask


async def main(folder: str, kind: str, slots: int) -> None:
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    ask = generate(model) if kind == "generate" else batching(model, slots)

    async def answer(question: dict[str, Any]) -> Any:
        return to_json(ask(question["prompts"], question["tokens"]))

    with torch.inference_mode():
        ask([[1, 2, 3]], 2)
        say(
            {
                "version": version("transformers"),
                "weights": "float32",
                "weight_bytes": sum(each.nbytes for each in model.parameters()),
            }
        )
        await answer_all(answer)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
