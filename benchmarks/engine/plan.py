"""What a run measures, and the conditions that all engines share."""

from dataclasses import dataclass

CONTEXT_TOKENS = 1024
"""Of each request: what every engine sets aside for it."""
TEMPERATURE, TOP_P = 0.8, 0.95
"""Replies are sampled, as those of the mesh are. What else an engine's sampler does by itself, it does here, too."""

CANCELLED_AT_ONCE = 8
SECOND_TURN_REPLY_TOKENS, SECOND_TURN_NEW_TOKENS = 16, 32


@dataclass(frozen=True, slots=True)
class Plan:
    requests: tuple[int, ...]
    """At once, one measurement of decoding each."""
    prompt_tokens: int
    """Of a request whose decoding is measured."""
    tokens: int
    """Of its reply."""
    prefill_requests: tuple[int, ...]
    """The same for prefill."""
    long_prompt_tokens: int
    """Of a request whose prefill is measured, and of a first turn."""
    turns: int
    """Second turns in a round."""
    cancels: int
    """In a round."""
    rounds: int
    """At most."""
    seconds: float
    """No measurement begins later."""
    patience: float
    """An engine that takes more seconds for one measurement is not asked again."""

    @property
    def slots(self) -> int:
        return max(*self.requests, *self.prefill_requests, CANCELLED_AT_ONCE)


FULL = Plan(
    requests=(1, 2, 4, 8, 16, 32),
    prompt_tokens=32,
    tokens=64,
    prefill_requests=(1, 4),
    long_prompt_tokens=512,
    turns=2,
    cancels=32,
    rounds=5,
    seconds=500,
    patience=120,
)
QUICK = Plan(
    requests=(1, 8, 32),
    prompt_tokens=32,
    tokens=32,
    prefill_requests=(1,),
    long_prompt_tokens=256,
    turns=1,
    cancels=16,
    rounds=3,
    seconds=90,
    patience=40,
)
