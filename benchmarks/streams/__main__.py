"""Many replies that stream at once, through the whole mesh and beside servers that do nothing else.

    python -m benchmarks.streams [--quick] [--only mesh,raw,waiting] [--streams N,…] [--output FILE]

Streams of 500 tokens at 100 a second, so 5 seconds are ideal: a real mesh on this machine (one process of each service,
an engine that is paced and costs next to nothing) whose subscriptions a process of its own reads over WebSockets, and a
plain server of server-sent events and one of WebSockets, read by the same process in the same run. All share the
machine. The time counts from the moment at which the engine begins all replies; from pressing send for all at once is
told beside it. Readers check that their deltas are the stored reply, to the last character.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.streams.plan import FULL, QUICK, Plan
from benchmarks.streams.run import PARTS, Results, run
from benchmarks.streams.tables import report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer of everything, in two minutes")
    parser.add_argument("--only", default=",".join(PARTS), help="some of what is measured, by comma")
    parser.add_argument("--streams", default="", help="other numbers of streams, by comma")
    parser.add_argument("--output", type=Path, help="where everything that was measured is written as JSON")
    arguments = parser.parse_args()
    parts = arguments.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    plan: Plan = QUICK if arguments.quick else FULL
    if arguments.streams:
        numbers = tuple(map(int, arguments.streams.split(",")))
        plan = replace(plan, streams=numbers, raw=numbers)
    results: Results = asyncio.run(run(plan, parts))
    if arguments.output:
        arguments.output.write_text(json.dumps(asdict(results), indent=1))
    sys.stdout.writelines(f"{line}\n" for line in report(results))


if __name__ == "__main__":
    main()
