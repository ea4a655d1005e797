"""One run of the simulator: events in the order of their time."""

import heapq
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.routing.policies import EXPECTED_REPLY_TOKENS, Chooser
from benchmarks.routing.replica import Replica, Request, Speed
from benchmarks.routing.traffic import Conversation
from services.conversation.routing.policy import Standing

LOAD_SECONDS = 0.5
"""How old what a replica said of its load may be."""


@dataclass(frozen=True, slots=True)
class Outcome:
    hit_rate: float
    """Of all prompt tokens, those that were cached."""
    p50: float
    """Of the times to the first token, in seconds; so are the next two."""
    p99: float
    mean: float
    balance: float
    """The busiest replica's time over the mean."""
    busy: float
    """The part of the whole time, its quiet end too, that replicas compute in."""


class Router:
    """What one conversation process knows."""

    def __init__(self, policy: Chooser, replicas: Sequence[Replica]) -> None:
        self.policy = policy
        self.counts = [0] * len(replicas)
        self.tokens = [0] * len(replicas)


class Run:
    """Conversations held with replicas; each router has a policy of its own."""

    def __init__(self, held: Sequence[Conversation], speed: Speed, replicas: int, policies: Sequence[Chooser]) -> None:
        self._replicas = [Replica(f"replica-{number}:50051", speed) for number in range(replicas)]
        self._loads = [(0, 0.0)] * replicas
        self._routers = [Router(policy, self._replicas) for policy in policies]
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._sequence = 0
        self._idle = [True] * replicas
        self._done: list[Request] = []
        self._open = len(held)
        for conversation in held:
            self._at(conversation.begins, self._turn(conversation, 0, conversation.system_tokens))

    def outcome(self) -> Outcome:
        self._at(LOAD_SECONDS, self._tell_loads)
        while self._open:
            now, _, event = heapq.heappop(self._events)
            event(now)
        waits = sorted(request.first_token - request.asked for request in self._done)
        prompts = sum(request.prompt_tokens for request in self._done)
        busy = [replica.busy_seconds for replica in self._replicas]
        return Outcome(
            sum(request.cached_tokens for request in self._done) / prompts,
            statistics.median(waits),
            waits[int(len(waits) * 0.99)],
            statistics.mean(waits),
            max(busy) / statistics.mean(busy),
            statistics.mean(busy) / now,
        )

    def _at(self, when: float, event: Callable[[float], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._events, (when, self._sequence, event))

    def _tell_loads(self, now: float) -> None:
        self._loads = [(replica.pending_prompt_tokens, replica.expected_wait()) for replica in self._replicas]
        self._at(now + LOAD_SECONDS, self._tell_loads)

    def _turn(self, conversation: Conversation, place: int, before: int) -> Callable[[float], None]:
        def ask(now: float) -> None:
            exchange = conversation.exchanges[place]
            # An odd multiplier, so that turns come to routers in no order that conversations have.
            number = (conversation.number * 7919 + place * 104_729) % len(self._routers)
            request = Request(conversation, place, before + exchange.asked_tokens, exchange.reply_tokens, now, number)
            router = self._routers[number]
            chosen = router.policy.choose(request, self._standings(router), router.counts)
            router.counts[chosen] += 1
            router.tokens[chosen] += request.prompt_tokens + EXPECTED_REPLY_TOKENS
            self._replicas[chosen].waiting.append(request)
            if self._idle[chosen]:
                self._step(chosen, now)

        return ask

    def _standings(self, router: Router) -> list[Standing]:
        return [
            Standing(replica.address, tokens, pending, replica.speed.pending_tokens, wait)
            for replica, tokens, (pending, wait) in zip(self._replicas, router.tokens, self._loads, strict=True)
        ]

    def _step(self, number: int, now: float) -> None:
        replica = self._replicas[number]
        ends, ended = replica.step(now)
        self._idle[number] = ends == now

        def finish(now: float) -> None:
            for request in ended:
                self._end(number, request, now)
            self._step(number, now)

        if ends > now:
            self._at(ends, finish)

    def _end(self, number: int, request: Request, now: float) -> None:
        router = self._routers[request.router]
        router.counts[number] -= 1
        router.tokens[number] -= request.prompt_tokens + EXPECTED_REPLY_TOKENS
        self._done.append(request)
        conversation, place = request.conversation, request.place + 1
        if place == len(conversation.exchanges):
            self._open -= 1
            return
        pause = conversation.exchanges[place - 1].pause_seconds
        self._at(now + pause, self._turn(conversation, place, request.prompt_tokens + request.reply_tokens))
