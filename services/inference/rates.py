"""How fast an engine is, as measured while it runs, and how long a place in its queue takes by that."""

from dataclasses import dataclass

_WEIGHT = 1 / 16
"""Of the newest value in a moving average: sixteen steps are forgotten in about as many."""


@dataclass(frozen=True, slots=True)
class Rates:
    """All 0 until it is known, so that nobody is refused by a guess."""

    prompt_token_seconds: float = 0
    """For each token of a prompt, in steps that compute as many as they may."""
    turn_seconds: float = 0
    """Until one of those that run leaves, while as many run as may."""

    def wait(self, prompt_tokens: int, turns: int) -> float:
        """Seconds until so many tokens of prompts are computed and so many generations have left the batch.

        Both go on at once: while one waits for others to leave, the prompts before it are computed.
        """
        return max(prompt_tokens * self.prompt_token_seconds, turns * self.turn_seconds)


class Meter:
    """Measures steps. A step takes what its replies take, and so much more for each token of a prompt."""

    def __init__(self, prefill_tokens: int) -> None:
        self._prefill_tokens = prefill_tokens
        self._replies_seconds = 0.0
        """Of a step without prompts."""
        self._prompt_tokens = self._prompt_seconds = 0.0
        """Decaying sums: a short prompt says less than a long one."""
        self._stay_seconds = 0.0
        """From joining the batch to leaving it."""

    def step(self, prompt_tokens: int, seconds: float) -> None:
        if not prompt_tokens:
            self._replies_seconds = _average(self._replies_seconds, seconds)
            return
        decay = 1 - _WEIGHT
        self._prompt_tokens = self._prompt_tokens * decay + prompt_tokens
        self._prompt_seconds = self._prompt_seconds * decay + max(0.0, seconds - self._replies_seconds)

    def left(self, stay_seconds: float) -> None:
        """A generation left the batch."""
        self._stay_seconds = _average(self._stay_seconds, stay_seconds)

    def rates(self, running: int) -> Rates:
        """With so many in the batch."""
        turn_seconds = self._stay_seconds / max(running, 1)
        if not self._prompt_tokens:
            return Rates(0, turn_seconds)
        each = self._prompt_seconds / self._prompt_tokens
        return Rates(each + self._replies_seconds / self._prefill_tokens, turn_seconds)


def _average(average: float, value: float) -> float:
    return average + _WEIGHT * (value - average) if average else value
