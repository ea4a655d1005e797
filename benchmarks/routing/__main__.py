"""Which policy sends conversations where: prefix cache hits, time to the first token, and balance.

    python -m benchmarks.routing [NAME…]

Replays the same seeded conversations on the same simulated replicas with each policy, for the named kinds of traffic
or for all. Engines are a simple model and nothing is a network: only the differences between policies mean something.
Routers are processes that route, each of which knows what it sent itself; a conversation's turns come to any of them.
"""

import random
import statistics
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from benchmarks.routing.cache_aware import CacheAware
from benchmarks.routing.policies import Chooser, LeastLoaded, RoundRobin, Sticky
from benchmarks.routing.replica import Speed
from benchmarks.routing.run import Outcome, Run
from benchmarks.routing.traffic import Traffic, conversations

REPLICAS = 4
SEEDS = (1, 2)
POLICIES: dict[str, Callable[[int], Chooser]] = {
    "round robin": lambda _: RoundRobin(),
    "least loaded": lambda seed: LeastLoaded(random.Random(seed)),
    "SGLang cache-aware": lambda _: CacheAware(REPLICAS),
    "parley": lambda seed: Sticky(random.Random(seed)),
}
"""By a seed of their own."""


@dataclass(frozen=True, slots=True)
class Case:
    traffic: Traffic
    routers: int = 1


LONG_PROMPTS = Traffic("long", conversations_per_second=9, tenants=200, system_tokens=3000, turns=2.5)
CASES = (
    Case(Traffic("chat", conversations_per_second=12)),
    Case(Traffic("chat", conversations_per_second=12), routers=3),
    Case(Traffic("rush", conversations_per_second=26)),
    Case(Traffic("documents", seconds=150, conversations_per_second=2.5, asked_tokens=1500, spread=1.5, turns=6)),
    Case(LONG_PROMPTS),
    Case(LONG_PROMPTS, routers=3),
)


def outcome(case: Case, policy: str, seed: int) -> Outcome:
    policies = [POLICIES[policy](seed * 100 + number) for number in range(case.routers)]
    return Run(conversations(case.traffic, seed), Speed(), REPLICAS, policies).outcome()


def show(case: Case, outcomes: Iterator[Outcome]) -> None:
    print(f"\n{case.traffic.name}, routers: {case.routers}")
    print(f"{'':20} {'hits':>6} {'TTFT p50':>10} {'p99':>10} {'mean':>10} {'max/mean':>9} {'busy':>6}")
    for policy in POLICIES:
        runs = [next(outcomes) for _ in SEEDS]
        waits = [[each.p50 for each in runs], [each.p99 for each in runs], [each.mean for each in runs]]
        print(
            f"{policy:20} {statistics.mean(each.hit_rate for each in runs):6.1%}",
            *(f"{statistics.mean(each) * 1000:7.0f} ms" for each in waits),
            f"{statistics.mean(each.balance for each in runs):9.3f}",
            f"{statistics.mean(each.busy for each in runs):6.0%}",
            flush=True,
        )


def main(names: list[str]) -> None:
    cases = [case for case in CASES if not names or case.traffic.name in names]
    jobs = [(case, policy, seed) for case in cases for policy in POLICIES for seed in SEEDS]
    print(f"{REPLICAS} replicas, means of {len(SEEDS)} seeds")
    with ProcessPoolExecutor() as processes:
        outcomes = processes.map(outcome, *zip(*jobs, strict=True))
        for case in cases:
            show(case, outcomes)


if __name__ == "__main__":
    main(sys.argv[1:])
