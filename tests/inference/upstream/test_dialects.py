"""What goes to an upstream and what comes back, dialect by dialect."""

from dataclasses import replace

import pytest

from services.chassis.errors import DomainError, Reason
from services.inference.engine import FinishReason
from services.inference.upstream.piece import Piece
from tests.inference.contract import request
from tests.inference.generations import generate, parameters
from tests.inference.upstream.upstreams import upstream
from tests.inference.upstream.words import SpokenTokenizer


async def test_tokens_go_by_id_and_the_emitted_ones_behind_the_prompt() -> None:
    for kind in ("vllm", "sglang", "llama.cpp"):
        async with upstream(kind) as (engine, server):
            asked = request(engine, "say: one two three four five", tokens=100)
            whole = await generate(engine, asked)
            await generate(engine, replace(asked, emitted=whole.tokens[:4]))
            first, second = (body["prompt"] for body in server.bodies)
            assert second == [*first, *whole.tokens[:4]]
            assert whole.end.cached_prompt_tokens == 3


async def test_the_cache_of_one_tenant_is_not_another_s() -> None:
    async with upstream("vllm") as (engine, server):
        for tenant in ("ours", "ours", "theirs"):
            await generate(engine, replace(request(engine), tenant=tenant))
        ours, again, theirs = (body["cache_salt"] for body in server.bodies)
        assert ours == again != theirs
        assert "ours" not in ours


async def test_a_character_of_several_tokens_is_whole() -> None:
    async with upstream("llama.cpp") as (engine, _):
        reply = await generate(engine, request(engine, "say: naïve 東京 👋🏽, verbatim.", tokens=200))
        assert (reply.text, reply.end.finish_reason) == ("naïve 東京 👋🏽, verbatim.", FinishReason.STOP)
        assert SpokenTokenizer().encode_text(reply.text) == reply.tokens[:-1]


async def test_text_alone_is_cut_into_our_tokens_and_goes_on() -> None:
    async with upstream("openai") as (engine, server):
        asked = request(engine, "say: naïve 東京 👋🏽 the sea is quiet.", tokens=200)
        whole = await generate(engine, asked)
        assert whole.text == "naïve 東京 👋🏽 the sea is quiet."
        assert whole.end.finish_reason is FinishReason.STOP
        for delta in whole.deltas[:-1]:
            emitted = whole.tokens[: delta.token_offset]
            rest = await generate(engine, replace(asked, emitted=emitted))
            assert whole.text.encode()[: rest.deltas[0].text_offset] + rest.text.encode() == whole.text.encode()
        assert all(isinstance(body["prompt"], str) for body in server.bodies)


async def test_a_limit_by_their_count_is_not_one_by_ours() -> None:
    async with upstream("openai") as (engine, server):
        reply = await generate(engine, request(engine, "words=100", temperature=0, tokens=30))
        assert (reply.end.finish_reason, reply.end.completion_tokens) == (FinishReason.LENGTH, 30)
        assert server.bodies


async def test_a_special_token_in_a_text_is_refused_where_it_would_be_read_as_one() -> None:
    async with upstream("openai") as (engine, _):
        with pytest.raises(DomainError) as refused:
            await generate(engine, request(engine, "and <|256|> then"))
        assert refused.value.reason is Reason.INVALID_ARGUMENT


@pytest.mark.parametrize(("name", "chosen"), [("json_schema", "{}"), ("top_logprobs", 0)])
async def test_what_no_upstream_does_alike_is_refused(name: str, chosen: object) -> None:
    async with upstream("vllm") as (engine, _):
        asked = replace(request(engine), parameters=replace(parameters(), **{name: chosen}))  # type: ignore[arg-type]
        with pytest.raises(DomainError) as refused:
            await generate(engine, asked)
        assert list(refused.value.fields) == [f"parameters.{name}"]


def test_tokens_that_do_not_spell_their_text_are_not_believed() -> None:
    tokenizer = SpokenTokenizer()
    wave = tokenizer.encode_text("👋")
    assert Piece(wave, "👋").settle(tokenizer) == wave
    assert Piece(wave[-1:], "👋").settle(tokenizer) == wave
    assert Piece(wave[1:2], "\ufffd").settle(tokenizer) == wave[1:2], "the middle of a character that was begun before"
    assert Piece((), "").settle(tokenizer) == ()
    with pytest.raises(DomainError) as refused:
        Piece((10**6,)).settle(tokenizer)
    assert refused.value.reason is Reason.ENGINE_FAILED
