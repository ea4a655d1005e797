"""What the machine can do at best: `python -m benchmarks.engine.machine` prints it as JSON."""

import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import psutil
import torch

READ_FLOATS = 2**28
"""1 GiB, far more than any cache of a processor holds."""
SIDE = 1024
REPEATS = 6
QUIET_SECONDS = 2.0
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")


def best_seconds(work: Callable[[], object]) -> float:
    """Of some tries: what else the machine does only ever slows it."""
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def limits() -> dict[str, float]:
    data = torch.ones(READ_FLOATS)
    left, right = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    operations = 2 * SIDE**3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        packed = torch.ops.quantized.linear_prepack(torch.quantize_per_tensor(right, 0.01, 0, torch.qint8), None)
    return {
        "read_bytes_per_second": data.nbytes / best_seconds(data.sum),
        "float32_operations_per_second": operations / best_seconds(lambda: left @ right),
        "int8_operations_per_second": operations
        / best_seconds(lambda: torch.ops.quantized.linear_dynamic(left, packed)),
    }


def conditions() -> dict[str, object]:
    """The machine, and how busy others keep it; asked while nothing is measured."""
    told = dict(
        line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().replace("\t", "").splitlines() if ":" in line
    )
    flags = told.get("flags", "").split()
    return {
        "processor": told.get("model name", "unknown").strip(),
        "instructions": [name for name in INSTRUCTIONS if name in flags],
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": psutil.virtual_memory().total,
        "others_percent": psutil.cpu_percent(interval=QUIET_SECONDS),
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    # First, for the rest is no quiet.
    told = conditions()
    print(json.dumps({**told, **limits()}))
