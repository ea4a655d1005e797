"""Rounds of measurements: within a round every engine is asked the same, in turn, so that all share its noise."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from benchmarks.engine.child import ROOT
from benchmarks.engine.parley_peers import InProcess
from benchmarks.engine.plan import (
    CANCELLED_AT_ONCE,
    SECOND_TURN_NEW_TOKENS,
    SECOND_TURN_REPLY_TOKENS,
    Plan,
)
from benchmarks.engine.prompts import Prompts
from benchmarks.engine.replies import Peer, RefusedError, decoding, prefill_rate
from benchmarks.engine.results import Decoded, Prefilled, Results, Turned

T = TypeVar("T")


def progress(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


class Run:
    def __init__(self, plan: Plan, peers: Sequence[Peer], prompts: Prompts, results: Results) -> None:
        self._plan, self._peers, self._prompts, self._results = plan, list(peers), prompts, results
        self._ends = time.monotonic() + plan.seconds

    async def measure(self) -> None:
        for peer in list(self._peers):
            prompts = self._prompts.take(1, self._plan.prompt_tokens)
            await self._asked(peer, partial(peer.replies, prompts, 2))
        for number in range(self._plan.rounds):
            if not self._over:
                await self._round(number)
                self._peers.append(self._peers.pop(0))  # who is first changes

    @property
    def _over(self) -> bool:
        return time.monotonic() > self._ends

    async def _round(self, number: int) -> None:
        for requests in self._plan.requests:
            for peer in self._taking_part(number):
                await self._decode(number, peer, requests)
        for requests in self._plan.prefill_requests:
            for peer in self._taking_part(number):
                await self._prefill(number, peer, requests)
        for peer in self._taking_part(number):
            if peer.turns:
                await self._turn(number, peer)
            if isinstance(peer, InProcess):
                await self._stop(number, peer)

    def _taking_part(self, number: int) -> list[Peer]:
        return [peer for peer in self._peers if number < peer.rounds]

    async def _decode(self, number: int, peer: Peer, requests: int) -> None:
        prompts = self._prompts.take(requests, self._plan.prompt_tokens)
        tokens = min(self._plan.tokens, peer.most_tokens)
        replies = await self._asked(peer, partial(peer.replies, prompts, tokens))
        if replies:
            measured = decoding(replies)
            self._results.decoded.append(Decoded(number, peer.name, measured))
            self._say(number, peer, f"{requests} at once decode {measured.tokens_per_second:.1f} tokens/s")

    async def _prefill(self, number: int, peer: Peer, requests: int) -> None:
        prompts = self._prompts.take(requests, self._plan.long_prompt_tokens)
        replies = await self._asked(peer, partial(peer.replies, prompts, 1))
        if replies:
            measured = prefill_rate(prompts, replies)
            self._results.prefilled.append(Prefilled(number, peer.name, requests, measured))
            self._say(number, peer, f"{requests} at once prefill {measured:.0f} tokens/s")

    async def _turn(self, number: int, peer: Peer) -> None:
        for _ in range(self._plan.turns):
            [first] = self._prompts.take(1, self._plan.long_prompt_tokens)
            [new] = self._prompts.take(1, SECOND_TURN_NEW_TOKENS)
            before = await self._asked(peer, partial(peer.replies, [first], SECOND_TURN_REPLY_TOKENS, reuse=True))
            if not before:
                return
            second = [*first, *before[0].tokens, *new]
            for reuse, prompt in ((True, second), (False, self._prompts.take(1, len(second))[0])):
                replies = await self._asked(peer, partial(peer.replies, [prompt], 1, reuse=reuse))
                if replies:
                    self._results.turned.append(Turned(number, peer.name, reuse, replies[0].times[0]))
        self._say(number, peer, "second turns measured")

    async def _stop(self, number: int, peer: InProcess) -> None:
        for _ in range(0, self._plan.cancels, CANCELLED_AT_ONCE):
            prompts = self._prompts.take(CANCELLED_AT_ONCE, self._plan.prompt_tokens)
            self._results.stops += await self._asked(peer, partial(peer.stop_seconds, prompts))
        self._say(number, peer, "cancels measured")

    async def _asked(self, peer: Peer, question: Callable[[], Coroutine[Any, Any, list[T]]]) -> list[T]:
        """The answer, or nothing: an engine that breaks is asked no more, and late questions are not asked."""
        if self._over or peer not in self._peers:
            return []
        try:
            async with asyncio.timeout(self._plan.patience):
                return await question()
        except RefusedError as error:
            progress(f"{peer.name} refused: {error}")
            return []
        except (OSError, RuntimeError) as error:
            late = isinstance(error, TimeoutError)
            why = f"no answer in {self._plan.patience:.0f} s" if late else str(error)
            self._results.left[peer.name] = why
            progress(f"{peer.name}: {why}")
            self._peers.remove(peer)
            return []

    def _say(self, number: int, peer: Peer, words: str) -> None:
        progress(f"round {number + 1}: {peer.name}: {words}")


async def machine() -> dict[str, Any]:
    """What the machine can do, and how busy it is."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.engine.machine", stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    told, _ = await process.communicate()
    found: dict[str, Any] = json.loads(told)
    return found
