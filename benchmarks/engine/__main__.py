"""How fast the engine is, beside others on the same weights and prompts.

    python -m benchmarks.engine [--quick] [--engines parley,grpc,llama.cpp,transformers,batching]
        [--llama-python PYTHON] [--output FILE]

PYTHON is of an environment that has llama.cpp's server: `make bench-engine` makes one. Every engine gets prompts of the
same kind as token ids and replies with as many tokens; decoding is counted while all of a measurement's requests
decode. Engines share the machine with what measures them, and within a round all are asked in turn.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.engine.peers import LLAMA, NAMES, started
from benchmarks.engine.plan import FULL, QUICK, TEMPERATURE, TOP_P, Plan
from benchmarks.engine.prompts import Prompts
from benchmarks.engine.results import Results
from benchmarks.engine.run import Run, machine, progress
from benchmarks.engine.tables import report
from services.inference.bundled import MODEL_ID, convert_once
from services.inference.config import Config


def describe(plan: Plan) -> str:
    return (
        f"{MODEL_ID}: prompts of {plan.prompt_tokens} and replies of {plan.tokens} tokens, temperature {TEMPERATURE}, "
        f"top_p {TOP_P}; prefill and first turns of {plan.long_prompt_tokens} tokens; up to {plan.rounds} rounds."
    )


async def compare(plan: Plan, names: list[str], llama_python: str) -> tuple[Results, Path]:
    began = time.monotonic()
    folder = convert_once(Config.model_fields["cache"].default.expanduser())
    progress("measuring the machine")
    results = Results({}, {"plan": describe(plan)})
    results.merge(await machine())
    progress(f"starting {', '.join(names)}")
    async with started(names, llama_python, folder, plan.slots, results.left) as peers:
        results.engines = {peer.name: peer.about for peer in peers}
        await Run(plan, peers, Prompts(folder), results).measure()
    progress("measuring the machine again")
    results.merge(await machine())
    results.conditions["seconds"] = time.monotonic() - began
    return results, folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer numbers of requests, in two minutes")
    parser.add_argument("--engines", default="", help="some of them, by comma")
    parser.add_argument("--llama-python", default="", help="without it llama.cpp is left out")
    parser.add_argument("--output", type=Path, help="where everything that was measured is written as JSON")
    arguments = parser.parse_args()
    names = [name for name in NAMES if name != LLAMA or arguments.llama_python]
    if arguments.engines:
        names = arguments.engines.split(",")
    if unknown := set(names) - set(NAMES):
        parser.error(f"there is no engine {', '.join(sorted(unknown))}")
    if LLAMA in names and not arguments.llama_python:
        parser.error("llama.cpp needs --llama-python")
    results, folder = asyncio.run(compare(QUICK if arguments.quick else FULL, names, arguments.llama_python))
    if arguments.output:
        arguments.output.write_text(json.dumps(asdict(results), indent=1))
    sys.stdout.writelines(f"{line}\n" for line in report(results, folder))


if __name__ == "__main__":
    main()
