"""Grammars: what a schema allows, wherever a reply stands, and what hostile ones cannot do."""

import asyncio
import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import validate

from services.chassis.errors import DomainError, Reason
from services.inference.batch_engine import Loaded
from services.inference.draw import TokenMask
from services.inference.fake_text import END, VOCABULARY
from services.inference.grammar import Grammar, Matcher, SchemaError, TokenTrie, write_grammar
from services.inference.grammars import CACHED, WAITING, Grammars
from tests.inference.schemas import Schema, schemas

TRIE = TokenTrie(VOCABULARY, [END])
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
HOSTILE = {
    "deep": '{"items":' * 60 + "{}" + "}" * 60,
    "far too deep": '{"items":' * 6000 + "{}" + "}" * 6000,
    "wide": json.dumps({"type": "object", "properties": {f"k{i}": {"type": "integer"} for i in range(2000)}}),
    "twisted": json.dumps({"allOf": [{"type": "string", "pattern": f".*a.{{{i}}}"} for i in range(20)]}),
    "exponential": json.dumps(
        {"allOf": [{"anyOf": [{"properties": {f"{c}{i}": {"type": "null"}}} for c in "ab"]} for i in range(16)]}
    ),
}
UNUSABLE = {
    "{": "must be JSON",
    "NaN": "must be JSON",
    "[]": "must be a JSON object",
    "true": "must be a JSON object",
    '{"type": "strin"}': "Invalid type",
    '{"not": {}}': "Unimplemented keys",
    '{"type": "array", "uniqueItems": true}': "Unimplemented keys",
    '{"minimum": 5, "maximum": 4, "type": "integer"}': "Unsatisfiable",
    '{"$ref": "#"}': "no value conforms",
    '{"$ref": "https://example.com/schema.json"}': "not present",
    '{"type": "string", "pattern": "("}': "regex",
}


def grammar_of(schema: Schema, trie: TokenTrie = TRIE) -> Grammar:
    return Grammar(write_grammar(json.dumps(schema)), trie)


def tokens_of(mask: TokenMask) -> list[int]:
    places: list[int] = np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).tolist()
    return places


def follow(matcher: Matcher, text: bytes) -> Matcher:
    """Takes a text byte by byte, each of which must be allowed."""
    for byte in text:
        assert byte in tokens_of(matcher.mask()), text
        matcher.push(byte)
    return matcher


@pytest.mark.parametrize(
    "text",
    ['{"name":"Jörg \\"x\\" 東京","age":42}', '{"name": "", "age": 0}', '{\n  "name": "a",\n  "age": 7\n}'],
)
def test_a_value_that_conforms_may_be_said_however_it_is_spaced(text: str) -> None:
    matcher = follow(grammar_of(PERSON).begin(), text.encode()[:-1])
    assert END not in tokens_of(matcher.mask())
    assert tokens_of(follow(matcher, b"}").mask()) == [END]


@pytest.mark.parametrize(
    ("said", "never"), [('{"n', "x"), ('{"name": ', "4"), ('{"name": "a", "age": ', "-"), ("", "[")]
)
def test_what_does_not_conform_cannot_be_said(said: str, never: str) -> None:
    matcher = follow(grammar_of(PERSON).begin(), said.encode())
    assert ord(never) not in tokens_of(matcher.mask())
    matcher.push(ord(never))
    assert matcher.failed
    assert not matcher.mask().any()


def test_it_may_end_wherever_the_value_is_complete_and_only_there() -> None:
    matcher = grammar_of({"type": "integer", "maximum": 999}).begin()
    for text, complete in (("-", False), ("1", True), ("2", True)):
        assert END in tokens_of(follow(matcher, text.encode()).mask()) or not complete
        assert (END in tokens_of(matcher.mask())) == complete


def test_white_space_does_not_go_on_for_ever() -> None:
    matcher = follow(grammar_of(PERSON).begin(), b"{\n" + b" " * 32)
    assert tokens_of(matcher.mask())
    assert ord(" ") not in tokens_of(matcher.mask())
    assert ord("\n") not in tokens_of(matcher.mask())


def test_a_schema_cannot_choose_how_it_is_read() -> None:
    matcher = grammar_of(
        {**PERSON, "x-guidance": {"item_separator": ";", "key_separator": "=", "lenient": True}}
    ).begin()
    assert ord(";") not in tokens_of(follow(matcher, b'{"name":"a"').mask())
    with pytest.raises(SchemaError):
        grammar_of({"not": {}, "x-guidance": {"lenient": True}})


def test_special_tokens_and_those_that_are_none_are_never_allowed() -> None:
    matcher = grammar_of({}).begin()
    for text in (b'{"', b"a"):
        allowed = tokens_of(follow(matcher, text).mask())
        assert not [token for token in allowed if not VOCABULARY[token]]


def walk(grammar: Grammar, choices: Sequence[int]) -> tuple[list[int], list[list[int]]]:
    """A reply whose tokens are chosen among those that are allowed, and what was allowed at each; it may be cut off."""
    matcher, reply, allowed = grammar.begin(), [], []
    for choice in choices:
        allowed.append(tokens_of(matcher.mask()))
        assert allowed[-1]
        # The shorter half of the time, what ends something: replies shall come to their end.
        likely = [t for t in allowed[-1] if t == END or VOCABULARY[t] in (b'"', b"}", b"]")] if choice % 2 else []
        token = (likely or allowed[-1])[choice // 2 % len(likely or allowed[-1])]
        matcher.push(token)
        assert not matcher.failed
        reply.append(token)
        if token == END:
            break
    return reply, allowed


@given(schemas, st.lists(st.integers(0, 2**16), min_size=120, max_size=120), st.data())
def test_any_walk_that_ends_is_a_value_that_validates_and_is_continued_from_anywhere(
    schema: Schema, choices: list[int], data: st.DataObject
) -> None:
    grammar = grammar_of(schema)
    reply, allowed = walk(grammar, choices)
    if reply[-1] == END:
        text = b"".join(VOCABULARY[token] for token in reply).decode()
        validate(json.loads(text), schema)
    split = data.draw(st.integers(0, len(reply) - 1))
    again = grammar.begin()
    for token in reply[:split]:
        again.push(token)
    assert tokens_of(again.mask()) == allowed[split]


def test_a_vocabulary_of_byte_level_pieces_goes_with_it(tiny: Loaded) -> None:
    vocabulary, ends = tiny.tokenizer.vocabulary, tiny.tokenizer.end_ids
    grammar = grammar_of({"enum": ["naß", "東京 👋🏽"]}, TokenTrie(vocabulary, ends))
    for choose in (max, min):
        matcher, said = grammar.begin(), b""
        while not set(allowed := tokens_of(matcher.mask())) & set(ends):
            token = choose(allowed, key=lambda token: (len(vocabulary[token]), token))
            said += vocabulary[token]
            matcher.push(token)
        assert json.loads(said) in ("naß", "東京 👋🏽")
        assert allowed == sorted(ends)


@pytest.fixture
def grammars() -> Grammars:
    return Grammars(VOCABULARY, [END])


@pytest.mark.parametrize("schema", UNUSABLE)
async def test_a_schema_that_no_reply_can_be_kept_to_is_refused_with_the_reason(
    grammars: Grammars, schema: str
) -> None:
    for _ in range(2):
        with pytest.raises(DomainError) as refused:
            await grammars.find(schema)
        assert refused.value.reason is Reason.INVALID_ARGUMENT
        assert UNUSABLE[schema] in refused.value.fields["parameters.json_schema"]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_schema_is_refused_while_the_loop_goes_on(grammars: Grammars, name: str) -> None:
    finding = asyncio.create_task(grammars.find(HOSTILE[name]))
    turns = 0
    while not finding.done():
        await asyncio.wait([finding], timeout=0.02)
        turns += 1
    with pytest.raises(DomainError) as refused:
        await finding
    assert list(refused.value.fields) == ["parameters.json_schema"]
    # The one that only its process's end stops: meanwhile others had their turns.
    assert name != "twisted" or turns > 20


async def test_a_schema_is_compiled_once(grammars: Grammars) -> None:
    first, second = await asyncio.gather(grammars.find("{}"), grammars.find("{}"))
    assert first is second
    assert await grammars.find("{}") is first


async def test_no_more_are_kept_and_wait_than_may(grammars: Grammars) -> None:
    refusals = 0
    schemas = [f'{{"const": {number}}}' for number in range(WAITING + 3)]
    for result in await asyncio.gather(*map(grammars.find, schemas), return_exceptions=True):
        if isinstance(result, DomainError):
            assert result.reason is Reason.ENGINE_OVERLOADED
            refusals += 1
    assert refusals == 3
    for number in range(CACHED + 5):
        with pytest.raises(DomainError):
            await grammars.find(f"[{number}]")
    assert len(grammars._known) == CACHED


async def test_a_model_that_cannot_end_follows_no_schema() -> None:
    with pytest.raises(DomainError) as refused:
        await Grammars(VOCABULARY, []).find("{}")
    assert "ends" in refused.value.fields["parameters.json_schema"]
