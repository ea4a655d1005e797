"""One run: a fresh mesh, people at work, a fault in their midst, and what became of the promises."""

import asyncio
import random
import shutil
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from string import ascii_lowercase

from tests.chaos.arena import Arena
from tests.chaos.check import violations
from tests.chaos.client import Client
from tests.chaos.fault import Fault
from tests.chaos.quiet import standing
from tests.chaos.record import History
from tests.chaos.workload import Workload
from tests.mesh.newcomer import newcomer
from tests.mesh.person import Person
from tests.mesh.running import Running, mesh
from tests.mesh.stores import stores

ACCOUNTS = ("ann", "bob", "eve")
FAKE = {
    "PARLEY_ENGINE": "fake",
    "PARLEY_FAKE_TOKENS_PER_SECOND": "60",
    "PARLEY_FAKE_FIRST_TOKEN_SECONDS": "0.3",
}
"""An engine at whose pace there is a time before the first token, and a middle of an answer."""
STRIKE_SECONDS = 400.0
AFTER_SECONDS = 200.0
"""For all that was begun to come to its end: longer than any client's patience."""
REPLICAS = {"embedded": "conversation=2,inference=2,edge=2"}
REPLICAS["real"] = f"{REPLICAS['embedded']},auth=2,history=2,metadata=2"


@dataclass(frozen=True, slots=True)
class Outcome:
    fault: str
    seed: int
    kind: str
    """Of stores."""
    violations: list[str]
    pauses: list[float]
    """Of each reply that was under way: the longest time in which nothing of it arrived, in seconds."""
    sends: list[float]
    """How long each message took to be acknowledged, in seconds."""
    refused: int
    """Attempts that clients had to repeat."""
    seconds: float

    @property
    def replay(self) -> str:
        stores = "" if self.kind == "embedded" else f" --stores {self.kind}"
        return f'make chaos ARGS="--fault {self.fault} --seed {self.seed}{stores}"'


async def run(fault: Fault, seed: int, folder: Path, kind: str = "embedded") -> Outcome:
    """The folder is made; it stays where a promise was broken, with the logs of all processes."""
    began, name = time.monotonic(), f"{fault.name}/{seed}"
    draw = random.Random(name)
    canaries = {account: "zq" + "".join(draw.choices(ascii_lowercase, k=6)) for account in ACCOUNTS}
    history, found, struck = History(canaries), list[str](), time.monotonic()
    (folder / "stage").mkdir(parents=True)
    try:
        async with _mesh(fault, folder, kind, history, name) as (arena, clients, workload):
            await workload.ask_before()
            async with asyncio.timeout(STRIKE_SECONDS + AFTER_SECONDS), workload.flowing():
                struck = time.monotonic()
                async with asyncio.timeout(STRIKE_SECONDS):
                    await fault.strike(arena, draw)
            found += violations(history, await standing(arena, clients, history))
    except Exception as error:  # noqa: BLE001 - whatever broke the run is its outcome
        found.append("the run broke: " + "".join(traceback.format_exception(error)))
    if not found:
        await asyncio.to_thread(shutil.rmtree, folder)
    return Outcome(
        *(fault.name, seed, kind, found, list(_pauses(history, struck))),
        [asked.acknowledged - asked.began for asked in history.asked if asked.acknowledged > struck],
        len([refusal for refusal in history.refusals if refusal.time > struck]),
        time.monotonic() - began,
    )


@asynccontextmanager
async def _mesh(
    fault: Fault, folder: Path, kind: str, history: History, name: str
) -> AsyncIterator[tuple[Arena, list[Client], Workload]]:
    async with (
        fault.stage(folder / "stage") as stage,
        stores(kind) as where,
        mesh(
            *(folder / "data", "--replicas", REPLICAS[kind]),
            environment={**FAKE, **where, **fault.environment, **stage.environment},
        ) as running,
        _clients(running, history) as clients,
    ):
        workload = Workload(clients, history, name, fault.streams)
        yield Arena(running, stage, clients, history, workload.ask, workload.whole), clients, workload


@asynccontextmanager
async def _clients(running: Running, history: History) -> AsyncIterator[list[Client]]:
    admin = Person(running.url, running.api_key)
    clients: list[Client] = []
    try:
        for account in ACCOUNTS:
            async with newcomer(admin, running.url) as made:
                key = made.program.http.headers["authorization"].removeprefix("Bearer ")
                clients.append(Client(account, running.url, key, history))
        yield clients
    finally:
        await asyncio.gather(admin.close(), *(client.close() for client in clients))


def _pauses(history: History, struck: float) -> Iterator[float]:
    """As the first watcher of each reply that was under way at that moment, or was asked for later, saw it."""
    times = {asked.reply_id: [asked.acknowledged] for asked in history.asked}
    first: dict[str, int] = {}
    for event in history.events:
        if event.watcher == first.setdefault(event.reply_id, event.watcher) and (event.text or event.ended):
            times[event.reply_id].append(event.time)
    for seen in times.values():
        if seen[-1] > struck:
            yield max((later - earlier for earlier, later in pairwise(seen) if later > struck), default=0.0)
