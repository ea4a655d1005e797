"""Results as tables in Markdown."""

import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.engine import aims
from benchmarks.engine.replies import Decoding
from benchmarks.engine.results import Decoded, Rate, Results, percentile, pooled, rate, ratio

PARLEY, GRPC, LLAMA = "Parley", "Parley over gRPC", "llama.cpp"


def report(results: Results, folder: Path) -> Iterator[str]:
    """`folder` has the model's configuration."""
    yield from _conditions(results)
    yield from _decoding(results)
    yield from _waits("first token, p50 / p99, ms", results, lambda measured: measured.first)
    yield from _waits("between two arrivals of tokens, p50 / p99, ms", results, lambda measured: measured.gaps)
    yield from _prefill(results)
    yield from _turns(results)
    yield from _stops(results)
    yield from _limits(results, folder)


def table(*rows: Sequence[str]) -> Iterator[str]:
    """The first row is its head. Without others there is no table."""
    head, *body = rows
    if body:
        yield ""
        yield f"| {' | '.join(head)} |"
        yield "|" + "---|" * len(head)
        yield from (f"| {' | '.join(row)} |" for row in body)


def number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _conditions(results: Results) -> Iterator[str]:
    told = results.conditions
    busy = " and ".join(f"{percent:.0f} %" for percent in told["others_percent"])
    load = " and ".join(f"{each:.1f}" for each in told["load"])
    yield f"{told['processor']} ({', '.join(told['instructions'])}), {told['cores']} cores,"
    yield f"{told['memory_bytes'] / 2**30:.0f} GiB, torch {told['torch']}."
    yield f"Before and after, others kept the processors {busy} busy (load {load}). {told['plan']}"
    engines = (f"{name} {about.get('version', '')} ({about['weights']})" for name, about in results.engines.items())
    yield f"{'; '.join(engines)}. {told['seconds']:.0f} s in all."
    for name, why in results.left.items():
        yield f"{name} was not asked, or not any more: {why}"


def _engines(rows: Sequence[Rate]) -> list[str]:
    return list(dict.fromkeys(row.engine for row in sorted(rows, key=lambda row: row.round)))


def _requests(rows: Sequence[Rate]) -> list[int]:
    return sorted({row.requests for row in rows})


def _rates(title: str, results: Results, rows: Sequence[Rate], aim: Callable[[int], float | None]) -> Iterator[str]:
    engines = [name for name in results.engines if name in _engines(rows)]
    body = []
    for requests in _requests(rows):
        measured = [number(rate(rows, engine, requests), 1) for engine in engines]
        reached = ratio(rows, PARLEY, LLAMA, requests)
        wanted = aim(requests)
        compared = [number(reached, 2), number(wanted, 2), aims.met(reached, wanted)]
        body.append([str(requests), *measured, *compared])
    yield from table([title, *engines, f"{PARLEY} / {LLAMA}", "aim", "met"], *body)


def _decoding(results: Results) -> Iterator[str]:
    yield from _rates("requests at once: decode, tokens/s", results, results.decoded, aims.DECODE.get)
    body = []
    for requests in _requests(results.decoded):
        reached = ratio(results.decoded, GRPC, PARLEY, requests)
        body.append([str(requests), number(reached, 3), number(aims.OVER_GRPC, 2), aims.met(reached, aims.OVER_GRPC)])
    yield from table(["requests at once: decode", f"{GRPC} / {PARLEY}", "aim", "met"], *body)


def _waits(title: str, results: Results, what: Callable[[Decoding], Sequence[float]]) -> Iterator[str]:
    rows: Sequence[Decoded] = results.decoded
    engines = [name for name in results.engines if name in _engines(rows)]
    body = []
    for requests in _requests(rows):
        cells = [_percentiles(pooled(rows, engine, requests, what)) for engine in engines]
        body.append([str(requests), *cells])
    yield from table([f"requests at once: {title}", *engines], *body)


def _percentiles(seconds: Sequence[float]) -> str:
    if not seconds:
        return "-"
    return " / ".join(number(percentile(seconds, share) * 1000, 1) for share in (0.5, 0.99))


def _prefill(results: Results) -> Iterator[str]:
    title = "requests at once: prefill, tokens/s"
    yield from _rates(title, results, results.prefilled, lambda _: aims.PREFILL)


def _turns(results: Results) -> Iterator[str]:
    body = []
    for engine in dict.fromkeys(row.engine for row in results.turned):
        medians = []
        for reuse in (False, True):
            seconds = [row.first for row in results.turned if (row.engine, row.reuse) == (engine, reuse)]
            medians.append(statistics.median(seconds) * 1000 if seconds else None)
        without, using = medians
        times = number(without / using, 1) if without and using else "-"
        body.append([engine, number(without), number(using), times])
    yield from table(
        ["first token of a second turn, median, ms", "all computed", "from the cache", "times faster"], *body
    )


def _stops(results: Results) -> Iterator[str]:
    cells = _percentiles(sorted(results.stops))
    yield from table(["from a cancel to the free slot, p50 / p99, ms", f"of {len(results.stops)}"], [PARLEY, cells])


def _limits(results: Results, folder: Path) -> Iterator[str]:
    limits, operations = results.limits, layer_operations(folder)
    reading, float32 = limits["read_bytes_per_second"], limits["float32_operations_per_second"]
    int8 = limits["int8_operations_per_second"]
    yield ""
    yield f"The machine reads {reading / 1e9:.1f} GB/s (1 GiB, summed), and multiplies matrices of 1024 x 1024 at"
    yield f"{float32 / 1e9:.0f} GFLOP/s in float32 and {int8 / 1e9:.0f} in int8 (torch, with its conversions)."
    body = []
    for engine, about in results.engines.items():
        most = reading / about["weight_bytes"]
        prefills = [rate(results.prefilled, engine, requests) for requests in _requests(results.prefilled)]
        prefill = max((each for each in prefills if each), default=None)
        body.append(
            [
                engine,
                f"{about['weights']}, {about['weight_bytes'] / 1e6:.0f} MB",
                number(most),
                _share(rate(results.decoded, engine, 1), most),
                number(prefill and operations * prefill / 1e9),
                _share(prefill, float32 / operations),
                _share(prefill, int8 / operations),
            ]
        )
    head = ["engine", "weights that a token reads", "tokens/s at most, alone", "of it reached"]
    yield from table([*head, "prefill, GFLOP/s", "of float32's peak", "of int8's"], *body)


def _share(value: float | None, most: float) -> str:
    return "-" if value is None else f"{value / most:.0%}"


def layer_operations(folder: Path) -> float:
    """For each token of a prompt: two for each weight of the layers. The head is computed for the last one alone."""
    told = json.loads((folder / "config.json").read_text())
    hidden, inner = told["hidden_size"], told["intermediate_size"]
    keys = hidden * told["num_key_value_heads"] // told["num_attention_heads"]
    weights: int = hidden * (hidden + 2 * keys) + hidden * hidden + 3 * hidden * inner
    layers: int = told["num_hidden_layers"]
    return 2.0 * weights * layers
