"""What processes take: processor time and memory, by name."""

from collections.abc import Mapping, Sequence

import psutil


class Processes:
    def __init__(self, pids: Mapping[str, Sequence[int]]) -> None:
        self._processes = {name: [psutil.Process(pid) for pid in found] for name, found in pids.items()}
        self._taken: dict[str, float] = {}

    def cpu_seconds(self) -> dict[str, float]:
        """Since the last time that this was asked."""
        before, self._taken = self._taken, {name: sum(map(_taken, each)) for name, each in self._processes.items()}
        return {name: taken - before.get(name, 0) for name, taken in self._taken.items()}

    def resident_bytes(self, name: str) -> int:
        return sum(process.memory_info().rss for process in self._processes[name])


def _taken(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
