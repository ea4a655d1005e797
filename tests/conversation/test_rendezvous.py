"""Rendezvous hashing: how evenly keys lie, and how few of them move."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.conversation.routing.rendezvous import order

NODES = [f"10.0.0.{number}:50051" for number in range(8)]
KEYS = [f"tenant/{number}" for number in range(4000)]

names = st.lists(st.text(max_size=20), unique=True, min_size=1, max_size=8)


@given(st.text(), names)
def test_the_order_is_the_keys_own_whatever_order_the_nodes_are_told_in(key: str, nodes: list[str]) -> None:
    assert order(key, nodes) == order(key, reversed(nodes))
    assert sorted(order(key, nodes)) == sorted(nodes)


@given(st.text(), names, st.data())
def test_a_node_that_goes_moves_no_key_but_its_own(key: str, nodes: list[str], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(nodes))
    assert order(key, set(nodes) - {gone}) == [node for node in order(key, nodes) if node != gone]


def test_a_node_that_comes_takes_its_part_and_no_more() -> None:
    before = {key: order(key, NODES)[0] for key in KEYS}
    after = {key: order(key, [*NODES, "10.0.0.9:50051"])[0] for key in KEYS}
    moved = [key for key in KEYS if before[key] != after[key]]
    assert {after[key] for key in moved} == {"10.0.0.9:50051"}
    assert 0.7 < len(moved) / (len(KEYS) / 9) < 1.3


def test_keys_lie_evenly() -> None:
    counts = Counter(order(key, NODES)[0] for key in KEYS)
    assert max(counts.values()) < 1.2 * len(KEYS) / len(NODES)
