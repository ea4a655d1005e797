"""Conversations as people hold them: made from a seed, so that every policy is asked the same."""

import random
from dataclasses import dataclass

BLOCK_TOKENS = 32


@dataclass(frozen=True, slots=True)
class Exchange:
    """A turn: what is asked, what is answered, and how long the person then reads and types."""

    asked_tokens: int
    reply_tokens: int
    pause_seconds: float


@dataclass(frozen=True, slots=True)
class Conversation:
    number: int
    tenant: int
    begins: float
    """Seconds from the start."""
    system_tokens: int
    """Of the tenant's system prompt, the same in all its conversations."""
    exchanges: tuple[Exchange, ...]

    def block(self, index: int) -> tuple[int, int]:
        """Names the content of a block of the conversation's tokens, of which those of the system prompt are shared."""
        shared = (index + 1) * BLOCK_TOKENS <= self.system_tokens
        return (-1 - self.tenant if shared else self.number, index)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What people do, in means. Poisson arrivals; tenants by Zipf's law; lengths log-normal; turns geometric."""

    name: str
    seconds: float = 60.0
    """For which conversations begin."""
    conversations_per_second: float = 1.0
    tenants: int = 50
    zipf: float = 1.1
    """The n-th tenant holds 1/n^zipf as many conversations as the first."""
    system_tokens: int = 400
    asked_tokens: int = 150
    spread: float = 1.0
    """Sigma of the logarithm of lengths."""
    reply_tokens: int = 250
    turns: float = 5.0
    pause_seconds: float = 20.0
    context_tokens: int = 16_384
    """Where a conversation ends."""


def conversations(traffic: Traffic, seed: int) -> list[Conversation]:
    draw = random.Random(f"{traffic.name} {seed}")
    weights = [1 / (rank + 1) ** traffic.zipf for rank in range(traffic.tenants)]
    system = [_length(draw, traffic.system_tokens, traffic.spread) for _ in range(traffic.tenants)]
    held: list[Conversation] = []
    now = draw.expovariate(traffic.conversations_per_second)
    while now < traffic.seconds:
        [tenant] = draw.choices(range(traffic.tenants), weights)
        exchanges = _exchanges(draw, traffic, system[tenant])
        held.append(Conversation(len(held), tenant, now, system[tenant], exchanges))
        now += draw.expovariate(traffic.conversations_per_second)
    return held


def _exchanges(draw: random.Random, traffic: Traffic, system_tokens: int) -> tuple[Exchange, ...]:
    exchanges: list[Exchange] = []
    left = traffic.context_tokens - system_tokens
    while True:
        asked = _length(draw, traffic.asked_tokens, traffic.spread)
        reply = _length(draw, traffic.reply_tokens, traffic.spread)
        left -= asked + reply
        if exchanges and left < 0:
            return tuple(exchanges)
        exchanges.append(Exchange(asked, reply, draw.expovariate(1 / traffic.pause_seconds)))
        if draw.random() < 1 / traffic.turns:
            return tuple(exchanges)


def _length(draw: random.Random, mean: int, spread: float) -> int:
    return min(8 * mean, max(8, round(mean * draw.lognormvariate(-spread * spread / 2, spread))))
