"""Places: strings whose order is that of the lists, and whose ranges hold one owner's list each."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.chassis.ids import new_id
from services.metadata.mongodb.places import order_of, place_of, to_filters
from services.metadata.store import Conversation, Filter, Owner
from tests.metadata.contract import conversation, position

EPOCH = datetime.fromtimestamp(0, UTC)
IDS = [new_id() for _ in range(4)]

owners = st.builds(Owner, st.text(max_size=4), st.text(max_size=4))
times = st.integers(0, (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)).map(
    lambda milliseconds: EPOCH + timedelta(milliseconds=milliseconds)
)


@st.composite
def rows(draw: st.DrawFn) -> Conversation:
    return replace(
        conversation(draw(owners), pinned=draw(st.booleans())),
        conversation_id=draw(st.sampled_from(IDS)),
        archived=draw(st.booleans()),
        update_time=draw(times),
    )


def is_found(row: Conversation, owner: Owner, narrow: Filter, after: Conversation | None) -> bool:
    """As a server that knows nothing but the order of strings."""
    ranges = [wanted["place"] for wanted in to_filters(owner, narrow, position(after) if after else None)]
    return [each["$gte"] <= place_of(row) < each["$lt"] for each in ranges].count(True) == 1


@given(rows(), rows())
def test_places_are_in_the_order_of_positions(one: Conversation, other: Conversation) -> None:
    def key(row: Conversation) -> tuple[bool, datetime, str]:
        return row.pinned, row.update_time, row.conversation_id

    assert (order_of(one) < order_of(other)) == (key(one) < key(other))


@given(rows(), owners, st.sampled_from([None, True, False]))
def test_a_list_holds_its_owners_conversations_alone(row: Conversation, owner: Owner, archived: bool | None) -> None:
    assert is_found(row, row.owner, Filter(archived), None) == (archived in (None, row.archived))
    assert is_found(row, owner, Filter(archived), None) == (owner == row.owner and archived in (None, row.archived))


@given(rows(), rows())
def test_a_page_holds_what_follows(row: Conversation, after: Conversation) -> None:
    after = replace(after, owner=row.owner)
    assert is_found(row, row.owner, Filter(), after) == (order_of(row) < order_of(after))


@given(st.text(min_size=1, max_size=5))
def test_a_search_stays_within_the_list(name: str) -> None:
    owner = Owner("t", "a")
    plain, search = to_filters(owner, Filter(), None), to_filters(owner, Filter(name_contains=name), None)
    assert [wanted["place"] for wanted in search] == [wanted["place"] for wanted in plain]
