"""An inference replica, as simply as routing needs it: steps of chunked prefill and decoding, slots, a prefix cache."""

import math
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from itertools import takewhile

from benchmarks.routing.traffic import BLOCK_TOKENS, Conversation


@dataclass(frozen=True, slots=True)
class Speed:
    """Of a model of 8 billion parameters on one large GPU, roughly; a step takes the sum of its parts."""

    step_seconds: float = 0.008
    prefill_seconds: float = 1 / 15_000
    """For each token."""
    decode_seconds: float = 0.0001
    """For each generation in the batch."""
    slots: int = 64
    chunk_tokens: int = 1024
    """The most that one step prefills."""
    cache_tokens: int = 300_000
    """What the prefix cache holds of what is not running."""
    pending_tokens: int = 150_000
    """Of prompts that may wait, by which a replica says how full it is."""


@dataclass(slots=True, eq=False)
class Request:
    conversation: Conversation
    place: int
    """Of the turn in its conversation."""
    prompt_tokens: int
    reply_tokens: int
    asked: float
    """When it came, in seconds."""
    router: int
    """Through whom it came."""
    cached_tokens: int = 0
    left_tokens: int = 0
    """Of the prompt, to be computed."""
    first_token: float = math.nan

    @property
    def cold(self) -> bool:
        return not self.place

    def blocks(self, tokens: int) -> list[tuple[int, int]]:
        return [self.conversation.block(index) for index in range(tokens // BLOCK_TOKENS)]


@dataclass(slots=True, eq=False)
class Replica:
    address: str
    speed: Speed
    busy_seconds: float = 0
    waiting: deque[Request] = field(default_factory=deque)
    prefilling: deque[Request] = field(default_factory=deque)
    decoding: dict[int, list[Request]] = field(default_factory=dict)
    """By the step that brings the last token."""
    running: int = 0
    steps: int = 0
    cache: OrderedDict[tuple[int, int], None] = field(default_factory=OrderedDict)
    """Blocks, the least recently used first."""

    @property
    def pending_prompt_tokens(self) -> int:
        return sum(request.prompt_tokens for request in self.waiting) + sum(
            request.left_tokens for request in self.prefilling
        )

    def expected_wait(self) -> float:
        """Seconds until the first token of a prompt that came now, as the engine would estimate it."""
        speed = self.speed
        steps = self.pending_prompt_tokens / speed.chunk_tokens + 1
        full = speed.slots - self.running - len(self.waiting) <= 0
        return steps * self._step_seconds(speed.chunk_tokens) + (2.0 if full else 0)

    def step(self, now: float) -> tuple[float, list[Request]]:
        """Takes a step from `now`: when it ends, and the requests that it ends. Nothing to do ends at `now`."""
        self._admit()
        if not self.running:
            return now, []
        chunk = self._prefill()
        ends = now + self._step_seconds(chunk)
        self.busy_seconds += ends - now
        self.steps += 1
        while self.prefilling and not self.prefilling[0].left_tokens:
            request = self.prefilling.popleft()
            request.first_token = ends
            self._keep(request, request.prompt_tokens)
            self.decoding.setdefault(self.steps + request.reply_tokens - 1, []).append(request)
        ended = self.decoding.pop(self.steps, [])
        self.running -= len(ended)
        for request in ended:
            self._keep(request, request.prompt_tokens + request.reply_tokens)
        return ends, ended

    def _admit(self) -> None:
        while self.waiting and self.running < self.speed.slots:
            request = self.waiting.popleft()
            request.cached_tokens = self._match(request)
            request.left_tokens = request.prompt_tokens - request.cached_tokens
            self.prefilling.append(request)
            self.running += 1

    def _prefill(self) -> int:
        """Computes the next chunk of prompts, the oldest first; its length."""
        room = self.speed.chunk_tokens
        for request in self.prefilling:
            taken = min(room, request.left_tokens)
            request.left_tokens -= taken
            room -= taken
            if not room or request.left_tokens:
                break
        return self.speed.chunk_tokens - room

    def _step_seconds(self, chunk: int) -> float:
        speed = self.speed
        return speed.step_seconds + chunk * speed.prefill_seconds + self.running * speed.decode_seconds

    def _match(self, request: Request) -> int:
        """How much of a prompt is cached; its last token never is, because the first of the reply follows from it."""
        found = list(takewhile(self.cache.__contains__, request.blocks(request.prompt_tokens - 1)))
        self._touch(found)
        return len(found) * BLOCK_TOKENS

    def _keep(self, request: Request, tokens: int) -> None:
        self._touch(request.blocks(tokens))
        while len(self.cache) * BLOCK_TOKENS > self.speed.cache_tokens:
            self.cache.popitem(last=False)

    def _touch(self, blocks: list[tuple[int, int]]) -> None:
        """Marks blocks as used, the last one first: a block is of no use without those before it."""
        for block in reversed(blocks):
            self.cache[block] = None
            self.cache.move_to_end(block)
