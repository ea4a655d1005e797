"""SGLang's cache-aware policy by its rules, on blocks instead of characters.

Rules from sgl-router/src/policies/cache_aware.rs and tree.rs, defaults from sglang_router/router_args.py. Where the
requests in flight differ by more than `balance_abs_threshold` and by more than the factor `balance_rel_threshold`, the
shortest queue. Else the worker of the longest match in an approximate radix tree of what was sent where, if that covers
more than `cache_threshold` of the prompt. Else the worker whose part of the tree is the smallest. (Where a part exceeds
`max_tree_size`, its least recently used leaves are dropped; no run here comes near the default of 2^26 characters.)
"""

from collections.abc import Sequence

from benchmarks.routing.replica import Request
from benchmarks.routing.traffic import BLOCK_TOKENS
from services.conversation.routing.policy import Standing


class CacheAware:
    def __init__(
        self, replicas: int, cache_threshold: float = 0.3, balance_abs: int = 64, balance_rel: float = 1.5
    ) -> None:
        self._cache_threshold, self._balance_abs, self._balance_rel = cache_threshold, balance_abs, balance_rel
        self._sent: dict[tuple[int, int], dict[int, None]] = {}
        """Who was sent each block, the latest last. A block names its content and all before it."""
        self._sizes = [0] * replicas

    def choose(self, request: Request, standings: Sequence[Standing], counts: Sequence[int]) -> int:
        del standings
        blocks = request.blocks(request.prompt_tokens)
        chosen = self._choose(blocks, request.prompt_tokens, counts)
        for block in blocks:
            workers = self._sent.setdefault(block, {})
            self._sizes[chosen] += chosen not in workers
            workers.pop(chosen, None)
            workers[chosen] = None
        return chosen

    def _choose(self, blocks: Sequence[tuple[int, int]], tokens: int, counts: Sequence[int]) -> int:
        most, least = max(counts), min(counts)
        if most - least > self._balance_abs and most > least * self._balance_rel:
            return counts.index(least)
        matched, worker = 0, 0
        for block in blocks:
            if block not in self._sent:
                break
            matched, worker = matched + 1, next(reversed(self._sent[block]))
        if matched * BLOCK_TOKENS > self._cache_threshold * tokens:
            return worker
        return self._sizes.index(min(self._sizes))
