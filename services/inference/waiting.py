"""Those that wait: interactive ones first, then tenants by what they were given, then by when they came."""

from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heapreplace

from services.inference.engine import Priority
from services.inference.generation import Generation
from services.inference.shares import PROMPT_COST, Shares
from services.inference.standing import Backlog


class Waiting:
    """Not safe for threads. What a generation's `pending` says may not change while it waits."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._lines: dict[Priority, dict[str, deque[Generation]]] = {priority: {} for priority in Priority}
        """No line is empty."""
        self._backlogs: dict[tuple[Priority, str], Backlog] = {}

    def __len__(self) -> int:
        return sum(backlog.generations for backlog in self._backlogs.values())

    def add(self, generation: Generation) -> None:
        self._line(generation).append(generation)

    def put_back(self, generation: Generation) -> None:
        """Gives one that ran the first place of its tenant."""
        self._line(generation).appendleft(generation)

    def remove(self, generation: Generation) -> bool:
        """Says whether it was there."""
        lines, tenant = self._lines[generation.priority], generation.tenant
        if generation not in lines.get(tenant, ()):
            return False
        lines[tenant].remove(generation)
        self._count(generation, -1)
        if not lines[tenant]:
            del lines[tenant], self._backlogs[generation.priority, tenant]
        return True

    def first(self) -> Generation | None:
        """Whose turn it is."""
        for lines in self._lines.values():
            if lines:
                return lines[min(lines, key=self._shares.with_promised)][0]
        return None

    def order(self) -> Iterator[Generation]:
        """All that wait, in the order of their turns as it stands: what runs meanwhile may change it."""
        for lines in self._lines.values():
            given = self._shares.with_promised
            heap = [(given(tenant), rank, iter(lines[tenant])) for rank, tenant in enumerate(lines)]
            heapify(heap)
            while heap:
                so_far, rank, line = heap[0]
                if generation := next(line, None):
                    heapreplace(heap, (so_far + generation.pending * PROMPT_COST, rank, line))
                    yield generation
                else:
                    heappop(heap)

    def backlogs(self) -> dict[tuple[Priority, str], Backlog]:
        return dict(self._backlogs)

    def _line(self, generation: Generation) -> deque[Generation]:
        """Where it shall wait, counted already."""
        tenant = generation.tenant
        tenants = {tenant for lines in self._lines.values() for tenant in lines}
        if tenant not in tenants:
            self._shares.begin(tenant, tenants)
        self._count(generation, 1)
        return self._lines[generation.priority].setdefault(tenant, deque())

    def _count(self, generation: Generation, sign: int) -> None:
        line = (generation.priority, generation.tenant)
        self._backlogs[line] = self._backlogs.get(line, Backlog()) + Backlog(sign, sign * generation.pending)
