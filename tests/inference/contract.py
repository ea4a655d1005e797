"""What every engine must do, whatever computes the tokens."""

import asyncio
import random
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise

import pytest

from services.chassis.errors import DomainError, Reason
from services.inference.engine import Delta, End, Engine, Failed, FinishReason, Queued, Request
from services.inference.outbox import follow
from tests.inference.generations import Reply, chat, generate, parameters, start

SLOTS = 2
WAITING = 3
CONTEXT_LENGTH = 4096


def request(engine: Engine, text: str = "Grüße aus 東京 👋🏽", **chosen: object) -> Request:
    model = engine.models()[0].model_id
    return Request(model, chat(text), parameters(**chosen))  # type: ignore[arg-type]


def long_request(engine: Engine) -> Request:
    """One that is still running whenever a test looks."""
    return request(engine, "words=5000", temperature=0, tokens=3000)


def outcome(reply: Reply) -> End:
    """How a reply ended, whatever of its prompt was found in the cache."""
    return replace(reply.end, cached_prompt_tokens=0)


class EngineContract:
    """Subclasses provide the fixture `engine`: it runs, has SLOTS, WAITING and CONTEXT_LENGTH, and one model."""

    async def test_deltas_follow_each_other_and_the_end_counts_them(self, engine: Engine) -> None:
        reply = await generate(engine, request(engine))
        assert reply.deltas[0].token_offset == reply.deltas[0].text_offset == 0
        for earlier, later in pairwise(reply.deltas):
            assert later.token_offset == earlier.token_offset + len(earlier.token_ids)
            assert later.text_offset == earlier.text_offset + len(earlier.text.encode())
        assert reply.end.completion_tokens == len(reply.tokens) <= 40
        count = await engine.count(engine.models()[0].model_id, chat("Grüße aus 東京 👋🏽"))
        assert reply.end.prompt_tokens == count.total

    async def test_a_reply_is_a_function_of_its_request(self, engine: Engine) -> None:
        first = await generate(engine, request(engine))
        again = await generate(engine, request(engine))
        assert (again.tokens, again.text, outcome(again)) == (first.tokens, first.text, outcome(first))
        other = await generate(engine, request(engine, seed=2))
        assert other.tokens != first.tokens

    async def test_greedy_decoding_has_no_seed(self, engine: Engine) -> None:
        one = await generate(engine, request(engine, temperature=0, seed=1))
        other = await generate(engine, request(engine, temperature=0, seed=2))
        assert one.tokens == other.tokens

    async def test_neighbours_change_nothing(self, engine: Engine) -> None:
        alone = [await generate(engine, request(engine, seed=seed)) for seed in range(5)]
        together = await asyncio.gather(*(generate(engine, request(engine, seed=seed)) for seed in range(5)))
        assert [reply.tokens for reply in together] == [reply.tokens for reply in alone]

    @pytest.mark.parametrize("temperature", [0, 0.9])
    async def test_a_continued_reply_is_the_same_reply(self, engine: Engine, temperature: float) -> None:
        asked = request(engine, temperature=temperature)
        whole = await generate(engine, asked)
        for split in range(1, len(whole.tokens), 5):
            rest = await generate(engine, replace(asked, emitted=whole.tokens[:split]))
            assert rest.tokens == whole.tokens[split:]
            assert outcome(rest) == outcome(whole)
            first = rest.deltas[0]
            assert first.token_offset == split
            assert whole.text.encode()[: first.text_offset] + rest.text.encode() == whole.text.encode()

    async def test_a_whole_reply_is_only_ended_again(self, engine: Engine) -> None:
        asked = request(engine)
        whole = await generate(engine, asked)
        again = await generate(engine, replace(asked, emitted=whole.tokens))
        assert (again.deltas, outcome(again)) == ((), outcome(whole))
        assert engine.load().running == engine.load().waiting == 0

    async def test_it_ends_at_the_bound_of_tokens(self, engine: Engine) -> None:
        reply = await generate(engine, request(engine, "words=100", temperature=0, tokens=7))
        assert (reply.end.finish_reason, reply.end.completion_tokens) == (FinishReason.LENGTH, 7)

    async def test_it_ends_before_the_first_stop_string(self, engine: Engine) -> None:
        whole = await generate(engine, request(engine))
        middle = len(whole.text) // 2
        stop = whole.text[middle : middle + 3]
        asked = request(engine, stop=("never that", stop))
        stopped = await generate(engine, asked)
        assert stopped.end.finish_reason is FinishReason.STOP
        assert stopped.text == whole.text[: whole.text.index(stop)]
        assert stopped.tokens == whole.tokens[: len(stopped.tokens)]
        for split in range(1, len(stopped.tokens)):
            rest = await generate(engine, replace(asked, emitted=stopped.tokens[:split]))
            assert stopped.text.encode()[: rest.deltas[0].text_offset] + rest.text.encode() == stopped.text.encode()
            assert outcome(rest) == outcome(stopped)

    async def test_a_cancelled_one_ends_and_leaves_its_slot(self, engine: Engine) -> None:
        running = await start(engine, long_request(engine))
        await running.until(Delta)
        assert engine.load().running == 1
        assert 0 < engine.load().cached_tokens <= engine.load().cached_tokens_limit
        running.cancel()
        running.cancel()
        end = await running.until(End)
        assert end.finish_reason is FinishReason.CANCELLED
        assert 0 < end.completion_tokens < 3000
        assert (engine.load().running, engine.load().cached_tokens) == (0, 0)

    async def test_cancelled_before_the_first_token(self, engine: Engine) -> None:
        watched = await start(engine, long_request(engine))
        watched.cancel()
        end = await watched.until(End)
        assert end.finish_reason is FinishReason.CANCELLED
        assert (engine.load().running, engine.load().waiting) == (0, 0)

    async def test_leaving_the_iterator_frees_the_slot(self, engine: Engine) -> None:
        async with aclosing(follow(engine, long_request(engine))) as events:
            async for event in events:
                if isinstance(event, Delta):
                    break
        # Its slots are full only if the one that was left still has its own.
        others = [await start(engine, long_request(engine)) for _ in range(SLOTS)]
        for other in others:
            await other.until(Delta)
        for other in others:
            other.cancel()
            await other.until(End)

    async def test_those_that_wait_are_told_their_places(self, engine: Engine) -> None:
        running = [await start(engine, long_request(engine)) for _ in range(SLOTS)]
        for each in running:
            await each.until(Delta)
        first, second, third = [await start(engine, long_request(engine)) for _ in range(WAITING)]
        assert [(await each.until(Queued)).position for each in (first, second, third)] == [0, 1, 2]
        assert (engine.load().running, engine.load().waiting) == (SLOTS, WAITING)
        second.cancel()
        await second.until(End)
        assert (await third.until(Queued)).position == 1
        running[0].cancel()
        await running[0].until(End)
        await first.until(Delta)
        assert (await third.until(Queued)).position == 0
        for each in (running[1], first, third):
            each.cancel()
            await each.until(End)
        assert (engine.load().running, engine.load().waiting) == (0, 0)

    async def test_one_too_many_is_refused_and_later_taken(self, engine: Engine) -> None:
        taken = [await start(engine, long_request(engine)) for _ in range(SLOTS + WAITING)]
        with pytest.raises(DomainError) as refused:
            await start(engine, long_request(engine))
        assert refused.value.reason is Reason.ENGINE_OVERLOADED
        assert refused.value.retry_after
        for each in taken:
            each.cancel()
            await each.until(End)
        await generate(engine, request(engine))

    async def test_others_run_on_while_one_leaves(self, engine: Engine) -> None:
        alone = await generate(engine, request(engine, tokens=120))
        leaving = await start(engine, long_request(engine))
        await leaving.until(Delta)
        staying = asyncio.create_task(generate(engine, request(engine, tokens=120)))
        await leaving.until(Delta)
        leaving.cancel()
        await leaving.until(End)
        assert (await staying).tokens == alone.tokens

    async def test_many_with_cancels_at_any_time_all_end_once(self, engine: Engine) -> None:
        dice = random.Random(5)
        places = asyncio.Semaphore(SLOTS + WAITING)

        async def one(seed: int) -> None:
            async with places:
                watched = await start(engine, request(engine, seed=seed, tokens=dice.randint(1, 60)))
                if dice.random() < 0.3:
                    await watched.until(Delta)
                if dice.random() < 0.5:
                    watched.cancel()
                await watched.ended()

        await asyncio.gather(*(one(seed) for seed in range(40)))
        load = engine.load()
        assert (load.running, load.waiting, load.cached_tokens) == (0, 0, 0)

    async def test_tokens_are_a_prompt_too(self, engine: Engine) -> None:
        model = engine.models()[0].model_id
        prompt = tuple(range(33, 60))
        reply = await generate(engine, Request(model, prompt, parameters(tokens=5)))
        assert reply.end.prompt_tokens == len(prompt)

    async def test_an_unknown_model_is_refused(self, engine: Engine) -> None:
        for attempt in (
            start(engine, Request("gpt-9", chat("hi"), parameters())),
            engine.count("gpt-9", chat("hi")),
        ):
            with pytest.raises(DomainError) as refused:
                await attempt
            assert refused.value.reason is Reason.MODEL_NOT_FOUND

    async def test_what_does_not_fit_is_refused_with_the_numbers(self, engine: Engine) -> None:
        asked = request(engine, "one too many " * 700, tokens=1000)
        count = await engine.count(asked.model, chat("one too many " * 700))
        with pytest.raises(DomainError) as refused:
            await start(engine, asked)
        assert refused.value.reason is Reason.CONTEXT_LENGTH_EXCEEDED
        assert refused.value.metadata == {
            "token_count": str(count.total),
            "max_output_tokens": "1000",
            "context_length": str(CONTEXT_LENGTH),
        }

    async def test_the_last_token_that_fits_is_taken(self, engine: Engine) -> None:
        asked = request(engine)
        count = await engine.count(asked.model, chat("Grüße aus 東京 👋🏽"))
        room = CONTEXT_LENGTH - count.total
        await (await start(engine, replace(asked, parameters=parameters(tokens=room)))).until(Delta)
        with pytest.raises(DomainError) as refused:
            await start(engine, replace(asked, parameters=parameters(tokens=room + 1)))
        assert refused.value.reason is Reason.CONTEXT_LENGTH_EXCEEDED

    async def test_impossible_requests_are_refused_by_field(self, engine: Engine) -> None:
        asked = request(engine)
        whole = await generate(engine, asked)
        bad = {
            "parameters.max_output_tokens": replace(asked, parameters=parameters(tokens=CONTEXT_LENGTH + 1)),
            "prompt": replace(asked, prompt=()),
            "tokens.token_ids": replace(asked, prompt=(1, 10**6)),
            "emitted_token_ids": replace(asked, emitted=(*whole.tokens, 65)),
        }
        for name, each in bad.items():
            with pytest.raises(DomainError) as refused:
                await start(engine, each)
            assert refused.value.reason is Reason.INVALID_ARGUMENT
            assert list(refused.value.fields) == [name]
        assert (engine.load().running, engine.load().waiting) == (0, 0)

    async def test_a_prompt_is_shorter_by_what_is_left_out(self, engine: Engine) -> None:
        model = engine.models()[0].model_id
        messages = chat("What is the sea?", "Much water.", "And <|end|> the sky?", "Much air. 👋🏽", "Then?")
        count = await engine.count(model, messages)
        assert len(count.messages) == len(messages)
        for left_out in (2, 4):
            shorter = await engine.count(model, messages[left_out:])
            assert shorter.total == count.total - sum(count.messages[:left_out])
            assert shorter.messages == count.messages[left_out:]
        share = engine.models()[0].template_tokens_per_message
        assert count.total <= sum(len(message.text.encode()) + share for message in messages)

    async def test_it_is_ready_while_it_runs(self, engine: Engine) -> None:
        await engine.check()
        assert [model.ready for model in engine.models()] == [True]
        assert engine.models()[0].context_length == CONTEXT_LENGTH
        assert engine.load().slots == SLOTS


async def until_failed(engine: Engine, running: asyncio.Task[None]) -> None:
    """Stops an engine under a generation, and sees that both say so."""
    watched = await start(engine, long_request(engine))
    await watched.until(Delta)
    running.cancel()
    failed = await watched.until(Failed)
    assert failed.error.reason is Reason.ENGINE_FAILED
    with pytest.raises(DomainError) as refused:
        await engine.check()
    assert refused.value.reason is Reason.UNAVAILABLE
