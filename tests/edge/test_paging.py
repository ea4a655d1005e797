import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from services.edge.paging import Cursors, Fetched, Place, read_slice
from tests.edge.asking import data, error, new_conversation, send
from tests.edge.mesh import Mesh


@given(st.integers(0, 40), st.integers(1, 12), st.integers(1, 5), st.data())
@settings(max_examples=50, deadline=None)
async def test_any_cursor_goes_on_exactly_behind_its_item(
    count: int, page_limit: int, size: int, data: st.DataObject
) -> None:
    async def fetch(token: str, limit: int) -> Fetched[int]:
        assert 0 < limit <= page_limit
        start = int(token or 0)
        # A service may give less than it was asked for.
        end = min(count, start + data.draw(st.integers(1, limit)))
        return Fetched(range(start, end), str(end) if end < count else "")

    cursors, place, seen = Cursors("list"), Place(), 0
    while True:
        found = await read_slice(fetch, place, size, page_limit)
        items = [item for item, _ in found.items]
        assert items == list(range(seen, seen + len(items)))
        assert min(1, count - seen) <= len(items) <= size
        assert found.more == (seen + len(items) < count)
        if not found.more:
            break
        chosen = data.draw(st.integers(0, len(found.items) - 1))
        seen += chosen + 1
        place = cursors.read(cursors.write(found.items[chosen][1]))


CONVERSATIONS = """
query($first: Int, $after: String, $filter: ConversationFilter) {
  conversations(first: $first, after: $after, filter: $filter) {
    edges { cursor node { id } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""


async def test_conversations_are_paged_forwards(client: httpx.AsyncClient) -> None:
    ids = [await new_conversation(client) for _ in range(5)][::-1]
    seen: list[str] = []
    after = None
    while True:
        page = (await data(client, CONVERSATIONS, first=2, after=after))["conversations"]
        assert page["pageInfo"]["hasPreviousPage"] == bool(seen)
        assert page["pageInfo"]["startCursor"] == page["edges"][0]["cursor"]
        seen += [edge["node"]["id"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == ids
    middle = (await data(client, CONVERSATIONS, first=5))["conversations"]["edges"][1]["cursor"]
    rest = (await data(client, CONVERSATIONS, first=5, after=middle))["conversations"]["edges"]
    assert [edge["node"]["id"] for edge in rest] == ids[2:]


async def test_conversations_are_filtered(client: httpx.AsyncClient) -> None:
    await new_conversation(client, displayName="About cats")
    dogs = await new_conversation(client, displayName="About dogs")
    query = "query($filter: ConversationFilter) { conversations(filter: $filter) { nodes { id } } }"
    found = await data(client, query, filter={"displayNameContains": "dogs", "archived": False})
    assert found["conversations"]["nodes"] == [{"id": dogs}]
    assert (await data(client, query, filter={"archived": True}))["conversations"]["nodes"] == []


MESSAGES = """
query($id: ID!, $last: Int, $before: String, $leafId: ID) {
  conversation(id: $id) {
    messages(last: $last, before: $before, leafId: $leafId) {
      nodes { id text siblingIds }
      edges { cursor }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
}
"""


async def test_a_branch_is_paged_backwards_and_stays_itself(client: httpx.AsyncClient) -> None:
    conversation_id = await new_conversation(client)
    for number in range(3):
        leaf = await send(client, conversation_id, f"Message {number}")
    query = {"id": conversation_id, "last": 4}
    newest = (await data(client, MESSAGES, **query))["conversation"]["messages"]
    assert [node["text"] for node in newest["nodes"]] == ["Message 1", "", "Message 2", ""]
    assert newest["nodes"][-1]["id"] == leaf
    assert newest["pageInfo"]["hasPreviousPage"]
    assert not newest["pageInfo"]["hasNextPage"]
    await send(client, conversation_id, "The branch grows meanwhile")
    older = (await data(client, MESSAGES, **query, before=newest["pageInfo"]["startCursor"]))["conversation"][
        "messages"
    ]
    assert [node["text"] for node in older["nodes"]] == ["Message 0", ""]
    assert not older["pageInfo"]["hasPreviousPage"]
    assert older["pageInfo"]["hasNextPage"]
    overlap = (await data(client, MESSAGES, **query, before=newest["edges"][2]["cursor"]))["conversation"]["messages"]
    assert [node["text"] for node in overlap["nodes"]] == ["Message 0", "", "Message 1", ""]


async def test_a_branch_by_its_leaf_with_siblings_in_one_call(client: httpx.AsyncClient, mesh: Mesh) -> None:
    conversation_id = await new_conversation(client)
    first = await send(client, conversation_id, "One")
    root = mesh.state.messages[first].parent_id
    answer = await data(
        client,
        "mutation($input: RegenerateReplyInput!) { regenerateReply(input: $input) { id } }",
        input={"conversationId": conversation_id, "messageId": first},
    )
    second = answer["regenerateReply"]["id"]
    branch = (await data(client, MESSAGES, id=conversation_id, leafId=second))["conversation"]["messages"]["nodes"]
    assert [node["id"] for node in branch] == [root, second]
    assert branch[1]["siblingIds"] == sorted([first, second])
    assert mesh.state.calls("GetMessage") == []


async def test_sizes_and_cursors_that_do_not_fit_are_refused(client: httpx.AsyncClient) -> None:
    one, other = await new_conversation(client), await new_conversation(client)
    await send(client, one)
    await send(client, other)
    for size in (-1, 0, 101, 2**31 - 1):
        refusal = await error(client, CONVERSATIONS, first=size)
        assert refusal == {"code": "INVALID_ARGUMENT", "fields": {"first": "must be from 1 to 100"}}
        assert (await error(client, MESSAGES, id=one, last=size))["fields"] == {"last": "must be from 1 to 100"}
    cursor = (await data(client, MESSAGES, id=one))["conversation"]["messages"]["pageInfo"]["startCursor"]
    for query in (
        {"id": other, "before": cursor},
        {"id": one, "before": cursor, "leafId": other},
        {"id": one, "before": "nonsense"},
        {"id": one, "before": cursor[:-1]},
    ):
        assert (await error(client, MESSAGES, **query))["code"] == "INVALID_PAGE_TOKEN"
    of_list = (await data(client, CONVERSATIONS))["conversations"]["pageInfo"]["endCursor"]
    assert (await error(client, CONVERSATIONS, after=of_list, filter={"archived": False}))[
        "code"
    ] == "INVALID_PAGE_TOKEN"
