"""Runs llama.cpp's server, by the Python of the environment that has it, with arguments MODEL SLOTS CONTEXT.

Says where it listens, and ends with its input.
"""

import json
import os
import sys

import xllamacpp  # type: ignore[import-not-found,unused-ignore]


def main(model: str, slots: int, context: int) -> None:
    cores = len(os.sched_getaffinity(0))
    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.n_parallel = slots
    parameters.n_ctx = slots * context
    # Each request its own part of the cache, of exactly the size that the others have.
    parameters.kv_unified = False
    parameters.fit_params = False
    parameters.cont_batching = True
    parameters.cpuparams.n_threads = cores
    parameters.cpuparams_batch.n_threads = cores
    # Prompts are kept in their slots; copies of them beside would only take its time.
    parameters.cache_ram_mib = 0
    parameters.ui = False
    parameters.hostnames = ["127.0.0.1"]
    server = xllamacpp.Server(parameters)
    told = {
        "url": server.listening_address,
        "version": f"of xllamacpp {xllamacpp.__version__}",
        "system": xllamacpp.get_system_info(),
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
