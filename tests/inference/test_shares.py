"""Who was given how much, and that nobody gains by having been away."""

from services.inference.shares import TENANTS, Shares


def test_who_comes_back_starts_with_those_that_are_in_want() -> None:
    shares = Shares()
    shares.give("a", 500)
    shares.give("b", 300)
    shares.begin("new", waiting=["a", "b"])
    assert shares.given("new") == 300
    shares.begin("a", waiting=["new", "b"])
    assert shares.given("a") == 500


def test_where_nobody_is_in_want_all_start_alike() -> None:
    shares = Shares()
    shares.give("a", 500)
    shares.give("b", 300)
    shares.begin("b", waiting=[])
    assert shares.given("b") == 500


def test_a_prompt_that_is_not_computed_yet_is_a_want() -> None:
    shares = Shares()
    shares.give("a", 100)
    shares.give("b", 900)
    shares.promise("a", 40)
    assert (shares.given("a"), shares.with_promised("a")) == (100, 140)
    shares.begin("new", waiting=[])
    assert shares.given("new") == 100
    shares.keep("a", 40)
    assert (shares.given("a"), shares.with_promised("a")) == (140, 140)
    shares.begin("newer", waiting=[])
    assert shares.given("newer") == 900


def test_so_many_tenants_are_remembered() -> None:
    shares = Shares()
    shares.give("waits", 5)
    for number in range(2 * TENANTS):
        shares.begin(f"t{number}", waiting=["waits"])
        shares.give(f"t{number}", number)
    assert len(shares._given) <= TENANTS
    assert shares.given("waits") == 5
    assert shares.given(f"t{2 * TENANTS - 1}") == 5 + 2 * TENANTS - 1
