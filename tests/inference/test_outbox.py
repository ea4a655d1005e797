"""What gathers is merged, and nothing that gathers is lost."""

import asyncio

from services.inference.engine import Delta, End, FinishReason, Queued
from services.inference.outbox import TAKEN_TOKENS, Outbox

END = End(FinishReason.STOP, 1, 2)


async def test_deltas_that_gather_are_one() -> None:
    outbox = Outbox()
    for event in (Queued(1), Delta(0, (1,), 0, "ä"), Queued(0), Delta(1, (2, 3), 2, "b"), END):
        outbox.put("a", event)
    outbox.put("b", Delta(5, (9,), 7, ""))
    for place in (3, 2):
        outbox.put("c", Queued(place))
    assert await outbox.take() == [
        ("a", Delta(0, (1, 2, 3), 0, "äb")),
        ("a", END),
        ("b", Delta(5, (9,), 7, "")),
        ("c", Queued(2)),
    ]
    assert not outbox.pending


async def test_silence_is_an_empty_taking() -> None:
    assert await Outbox().take(0.01) == []


async def test_what_comes_after_a_taking_wakes_the_next() -> None:
    outbox = Outbox()
    outbox.put("a", Queued(1))
    await outbox.take()
    taking = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    outbox.put("a", END)
    assert await taking == [("a", END)]


async def test_a_taking_is_bounded_and_the_next_goes_on() -> None:
    outbox = Outbox()
    for name in "abc":
        outbox.put(name, Delta(0, (1,) * (TAKEN_TOKENS // 2), 0, name))
    assert [name for name, _ in await outbox.take()] == ["a", "b"]
    assert [name for name, _ in await outbox.take()] == ["c"]
