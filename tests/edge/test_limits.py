import httpx
from graphql import get_introspection_query, parse
from hypothesis import given, settings
from hypothesis import strategies as st

from services.edge.config import Limits
from services.edge.limits import check_limits
from tests.edge.asking import ask, data, error, new_conversation, send
from tests.edge.mesh import Mesh
from tests.edge.running import Edge, running
from tests.edge.state import Person

LIMITS = Limits.model_construct(max_depth=4, max_aliases=3, max_directives=3, max_repeats=6)


def complaints(text: str) -> list[str]:
    return [error.message.partition("Its ")[2].partition(":")[0] for error in check_limits(parse(text), LIMITS)]


def test_each_limit() -> None:
    assert complaints("{ a { b { c { d } } } }") == []
    assert complaints("{ a { b { c { d { e } } } } }") == ["depth"]
    assert complaints("{ a: x b: x c: x }") == []
    assert complaints("{ a: x b: x c: x d: x }") == ["aliases"]
    assert complaints("{ a @skip(if: true) @skip(if: true) @skip(if: true) @skip(if: true) }") == ["directives"]
    assert complaints("query @a @a { x ... @a @a { y } }") == ["directives"]
    assert complaints("{ a a a a a a a }") == ["repeats of one field"]


def test_fragments_count_where_they_are_spread() -> None:
    assert complaints("{ a { ...F } } fragment F on T { b { c { d { e } } } }") == ["depth"]
    assert complaints("{ a { ...F } b { ...F } } fragment F on T { x: c y: d }") == ["aliases"]
    assert complaints("query A { a: x b: x } query B { c: x d: x }") == ["aliases"]
    # Cycles and unknown names are for validation to name.
    assert complaints("{ ...F } fragment F on T { ...F ...Gone }") == []


def test_introspection_has_a_depth_of_its_own() -> None:
    assert complaints("{ __schema { types { fields { type { ofType { name } } } } } }") == []


@given(st.integers(1, 40), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_a_cascade_of_fragments_takes_no_time(length: int, width: int) -> None:
    spreads = [" ".join(f"x{n}: a {{ ...F{level + 1} }}" for n in range(width)) for level in range(length)]
    fragments = [f"fragment F{level} on T {{ {text} }}" for level, text in enumerate(spreads)]
    found = complaints("{ ...F0 } " + " ".join(fragments) + f" fragment F{length} on T {{ b }}")
    assert ("depth" in found) == (length + 1 > LIMITS.max_depth)
    assert ("aliases" in found) == (sum(width**level for level in range(1, length + 1)) > LIMITS.max_aliases)


async def test_documents_that_go_too_far_are_not_executed(client: httpx.AsyncClient, mesh: Mesh) -> None:
    assert await data(client, "{ conversations { nodes { messages { nodes { usage { promptTokens } } } } } }")
    many = " ".join(f"a{n}: viewer {{ id }}" for n in range(16))
    for text in (f"{{ {many} }}", "{ " + "__typename " * 51 + "}", "{ " + "viewer { id } " * 51 + "}"):
        assert (await error(client, text))["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert (await error(client, "{ " + "__typename " * 1000 + "}"))["code"] == "GRAPHQL_PARSE_FAILED"
    assert (await error(client, "{ a " * 450 + "}" * 450))["code"] == "GRAPHQL_PARSE_FAILED"
    assert mesh.state.calls("GetAccount") == []


async def test_what_graphiql_asks_is_within_the_limits(client: httpx.AsyncClient) -> None:
    assert "__schema" in await data(client, get_introspection_query())


async def test_introspection_can_be_turned_off(mesh: Mesh, ada: Person) -> None:
    async with running(mesh, introspection=False) as edge, edge.client(ada) as client:
        answer = await ask(client, "{ __schema { queryType { name } } }")
        assert {one["extensions"]["code"] for one in answer["errors"]} == {"GRAPHQL_VALIDATION_FAILED"}
        answer = await ask(client, "{ view { id } }")
        assert "viewer" not in answer["errors"][0]["message"]


async def test_an_operation_causes_so_many_calls_and_no_more(mesh: Mesh, ada: Person) -> None:
    async with running(mesh, max_calls_per_operation=3) as edge, edge.client(ada) as client:
        for _ in range(3):
            await send(client, await new_conversation(client))
        text = "{ conversations { nodes { messages { nodes { id } } } } }"
        answer = await ask(client, text)
        assert {one["extensions"]["code"] for one in answer["errors"]} == {"LIMIT_EXCEEDED"}
        assert len(mesh.state.calls("ListMessages")) <= 2


async def test_an_operation_brings_so_many_bytes_and_no_more(mesh: Mesh, ada: Person) -> None:
    async with running(mesh, max_bytes_per_operation=10_000, max_calls_at_once=1) as edge, edge.client(ada) as client:
        for _ in range(4):
            await send(client, await new_conversation(client), "x" * 6_000)
        answer = await ask(client, "{ conversations { nodes { messages { nodes { text } } } } }")
        assert {one["extensions"]["code"] for one in answer["errors"]} == {"LIMIT_EXCEEDED"}
        assert len(mesh.state.calls("ListMessages")) == 2


async def test_errors_do_not_repeat_what_they_refuse(client: httpx.AsyncClient, edge: Edge) -> None:
    answer = await ask(client, "query($n: Int) { conversations(first: $n) { nodes { id } } }", n="secret " * 1000)
    assert len(answer["errors"][0]["message"]) < 400
    many = await ask(client, "{ " + " ".join(f"nothing{n}" for n in range(60)) + " }")
    assert len(many["errors"]) <= 21
    assert edge.house.config.max_aliases == 15
