"""Which replica takes a turn, of plain records."""

import random
from collections import Counter
from dataclasses import replace
from typing import Any

from services.conversation.routing.policy import SLACK_TOKENS, WAIT_SECONDS, Policy, Standing, Turn
from services.conversation.routing.rendezvous import order

FLEET = [Standing(f"10.0.0.{number}:50051", 0) for number in range(6)]
NAMES = [standing.address for standing in FLEET]


def a_turn(number: int = 0, **more: object) -> Turn:
    return replace(Turn(key=f"tenant/{number}", prompt_tokens=1000, tokens=2000), **more)  # type: ignore[arg-type]


def a_policy() -> Policy:
    return Policy(random.Random(7))


def chosen(policy: Policy, turn: Turn, fleet: list[Standing]) -> str:
    return policy.choose(turn, fleet, 0.0)


def but(address: str, **changes: object) -> list[Standing]:
    """The fleet with one replica that is otherwise."""
    return [
        replace(standing, **changes) if standing.address == address else standing  # type: ignore[arg-type]
        for standing in FLEET
    ]


def test_a_conversation_stays_where_it_is_in_every_process() -> None:
    one, other = a_policy(), Policy(random.Random(8))
    for number in range(100):
        turn = a_turn(number)
        favourite = order(turn.key, NAMES)[0]
        assert {chosen(policy, turn, FLEET) for policy in (one, other, one)} == {favourite}
        assert chosen(one, turn, but(favourite, in_flight_tokens=SLACK_TOKENS)) == favourite


def test_conversations_lie_on_all_replicas() -> None:
    policy = a_policy()
    counts = Counter(chosen(policy, a_turn(number), FLEET) for number in range(3000))
    assert set(counts) == set(NAMES)
    assert max(counts.values()) < 1.2 * 500


def test_a_replica_past_its_bound_is_left_for_one_of_the_next() -> None:
    turn, policy = a_turn(), a_policy()
    favourite, *others = order(turn.key, NAMES)
    fleet = but(favourite, in_flight_tokens=SLACK_TOKENS + 1)
    assert {chosen(policy, turn, fleet) for _ in range(50)} == set(others[:2])  # both have nothing: a tie
    busier = [replace(each, in_flight_tokens=1) if each.address == others[0] else each for each in fleet]
    assert {chosen(policy, turn, busier) for _ in range(50)} == {others[1]}


def test_nobody_leaves_where_all_have_as_much_to_do() -> None:
    turn, policy = a_turn(), a_policy()
    fleet = [replace(standing, in_flight_tokens=10 * SLACK_TOKENS) for standing in FLEET]
    assert chosen(policy, turn, fleet) == order(turn.key, NAMES)[0]


def test_a_first_turn_leaves_sooner() -> None:
    turn, policy = a_turn(), a_policy()
    fleet = but(order(turn.key, NAMES)[0], in_flight_tokens=SLACK_TOKENS)
    assert chosen(policy, replace(turn, cold=True), fleet) != chosen(policy, turn, fleet)


def test_a_replica_where_a_turn_would_wait_is_left() -> None:
    turn, policy = a_turn(), a_policy()
    favourite, second, *_ = order(turn.key, NAMES)
    assert chosen(policy, turn, but(favourite, expected_wait=WAIT_SECONDS)) == favourite
    assert chosen(policy, turn, but(favourite, expected_wait=WAIT_SECONDS + 0.1)) == second
    everywhere = [replace(standing, expected_wait=9.0) for standing in FLEET]
    assert chosen(policy, turn, everywhere) == favourite


def test_a_replica_that_would_refuse_is_left() -> None:
    turn, policy = a_turn(), a_policy()
    favourite, second, *_ = order(turn.key, NAMES)
    room: dict[str, Any] = {"pending_prompt_tokens_limit": 5000}
    assert chosen(policy, turn, but(favourite, pending_prompt_tokens=4000, **room)) == favourite
    assert chosen(policy, turn, but(favourite, pending_prompt_tokens=4001, **room)) == second
    full = [replace(standing, pending_prompt_tokens=5000, **room) for standing in FLEET]
    assert chosen(policy, turn, full) == favourite


def test_what_belongs_to_no_conversation_goes_where_the_least_is_in_flight_ties_at_random() -> None:
    policy = a_policy()
    fleet = [replace(standing, in_flight_tokens=place // 3) for place, standing in enumerate(FLEET)]
    counts = Counter(chosen(policy, a_turn(key=""), fleet) for _ in range(300))
    assert set(counts) == set(NAMES[:3])
    assert min(counts.values()) > 60


def test_those_who_share_a_long_beginning_use_no_more_replicas_than_their_work_needs() -> None:
    policy = a_policy()
    for number in range(1000):
        chosen(policy, a_turn(number), FLEET)
    small = Counter(chosen(policy, a_turn(number, beginning="small"), FLEET) for number in range(30))
    assert set(small) == {order("small", NAMES)[0]}
    large = Counter(chosen(policy, a_turn(number, beginning="large"), FLEET) for number in range(3000))
    assert set(large) == set(NAMES)


def test_one_replica_takes_everything() -> None:
    assert chosen(a_policy(), a_turn(), [replace(FLEET[0], expected_wait=99.0)]) == NAMES[0]
