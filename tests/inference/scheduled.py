"""Generations for a scheduler, and steps of a model that says the same word for ever."""

from collections.abc import Sequence
from itertools import count

from services.inference.engine import Priority
from services.inference.generation import Generation
from services.inference.reply import Reply
from services.inference.scheduler import Chunk, Scheduler
from tests.inference.generations import parameters

WORD = 1
STEP_SECONDS = 0.01
_beginnings = count(10_000_000, 100_000)


def generation(
    prompt: int | Sequence[int],
    tokens: int = 10,
    *,
    emitted: int = 0,
    tenant: str = "",
    priority: Priority = Priority.INTERACTIVE,
) -> Generation:
    """One of a prompt or of one so long, which begins like no other."""
    chosen = parameters(tokens=tokens)
    if isinstance(prompt, int):
        begin = next(_beginnings)
        prompt = range(begin, begin + prompt)
    made = Generation(tuple(prompt), Reply([b"x"] * 100, {99}, chosen), chosen, lambda _: None, tenant, priority)
    made.reply.extend([WORD] * emitted)
    return made


def compute(scheduler: Scheduler, step: Sequence[Chunk]) -> None:
    """Takes a step as computed; each reply that can gets a word, and those that end by it leave."""
    drawing = [chunk.generation for chunk in step if chunk.completes]
    scheduler.computed(step, STEP_SECONDS)
    for each in drawing:
        each.reply.extend([WORD])
        if each.reply.finish_reason:
            scheduler.remove(each)


def advance(scheduler: Scheduler) -> list[tuple[Generation, int, int]]:
    """One round, as (generation, start, count)."""
    scheduler.admit()
    step = scheduler.schedule()
    compute(scheduler, step)
    scheduler.check()
    return [(chunk.generation, chunk.start, chunk.count) for chunk in step]
