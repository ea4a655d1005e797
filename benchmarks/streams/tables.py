"""What a run found, as tables."""

import statistics
from collections.abc import Iterable, Iterator, Sequence

from benchmarks.streams.measure import Measured
from benchmarks.streams.run import HALF, TOGETHER, Results

_HEAD = "| streams | slowest, s | last first delta, s | deltas/s | gap p50 / p99, ms | bytes a token |"


def report(results: Results) -> Iterator[str]:
    order = {measured.what: None for measured in results.measured}
    for what in order:
        yield from _table(what, [each for each in results.measured if each.what == what])
    yield from _linear(results.measured)
    if results.waiting_cpu:
        cpu = ", ".join(f"{name} {share:.2%}" for name, share in results.waiting_cpu.items() if share >= 0.0001)
        yield f"{results.waiting} subscriptions to replies that wait, of a core: {cpu}"


def _table(what: str, found: Sequence[Measured]) -> Iterator[str]:
    """Medians of the rounds, and the best and worst of them where it is the time."""
    yield from ("", f"{what}:", _HEAD, "|---" * 6 + "|")
    sizes = dict.fromkeys(measured.seen.streams for measured in found)
    groups = [(size, [measured for measured in found if measured.seen.streams == size]) for size in sizes]
    for size, rounds in groups:
        seen = [measured.seen for measured in rounds]
        times = [each.seconds for each in seen]
        short, long = (_median(getattr(each, name) * 1000 for each in seen) for name in ("gap_p50", "gap_p99"))
        yield (
            f"| {size} | {_median(times):.2f} ({min(times):.2f} to {max(times):.2f}) "
            f"| {_median(each.start_seconds for each in seen):.2f} "
            f"| {_median(each.deltas / each.seconds for each in seen):,.0f} | {short:.0f} / {long:.0f} "
            f"| {_median(each.bytes_per_token for each in seen):.0f} |"
        )
    for size, rounds in groups:
        yield f"  processor seconds at {size}: {_cpu(rounds)}"
        if memory := _median(measured.memory_per_stream for measured in rounds):
            yield f"  memory of the edge at {size}: {memory / 1000:.0f} kB a stream"


def _cpu(rounds: Sequence[Measured]) -> str:
    names = rounds[0].cpu_seconds
    taken = {name: _median(measured.cpu_seconds.get(name, 0) for measured in rounds) for name in names}
    return ", ".join(f"{name} {seconds:.2f}" for name, seconds in taken.items() if seconds >= 0.01)


def _linear(measured: Sequence[Measured]) -> Iterator[str]:
    halves = [each.seen for each in measured if each.what == HALF]
    if not halves:
        return
    streams = halves[0].streams
    wholes = [each.seen for each in measured if each.what == TOGETHER and each.seen.streams == streams]
    half, whole = (_median(each.bytes_per_token * each.tokens for each in found) for found in (halves, wholes))
    yield f"bytes on the wire for a reply: {half:,.0f} of {halves[0].tokens} tokens, {whole:,.0f} of {wholes[0].tokens}"


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)
