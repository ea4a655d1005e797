"""A long answer in the terminal, and the death of everybody who brings it: `make demo-failover`.

Starts a mesh of its own with two replicas of conversation, inference and edge, and has a question answered twice: once
undisturbed, and once while the processes that compute the answer, write it down and stream it are killed, one after the
other. Then it compares the two answers, and what was charged with what is due.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from tests.mesh.engines import loads
from tests.mesh.person import REPLY, Person
from tests.mesh.running import Running, mesh

REPLICAS = "conversation=2,inference=2,edge=2"
QUESTION = "Tell me a long story about a lighthouse and the sea."
SEED = 7
TOKENS = 240
BOLD, DIM, RED, GREEN, OFF = (
    ("\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[0m") if sys.stdout.isatty() else ("",) * 5
)
AGAIN_SECONDS = 0.2
"""Before a lost socket is opened again."""

Kill = Callable[[str, ClientConnection], Awaitable[tuple[str, int]]]
"""Finds the process that does something for the reply, and says what it is."""


def say(text: str = "") -> None:
    print(text, flush=True)


class Victims:
    """Whoever does something for a reply just now."""

    def __init__(self, running: Running) -> None:
        self._running = running

    async def computes(self, _: str, __: ClientConnection) -> tuple[str, int]:
        """The inference replica that runs a generation."""
        replicas = zip(await loads(self._running), self._running.processes("inference"), strict=True)
        for load, pid in replicas:
            if load.running:
                return "inference, which computes it", pid
        raise LookupError("no engine runs the reply")

    async def writes(self, reply_id: str, _: ClientConnection) -> tuple[str, int]:
        """The conversation replica that says in its log that it has the turn."""
        taken: dict[str, int] = {}
        for number, pid in enumerate(self._running.processes("conversation"), 1):
            log = self._running.folder / "logs" / f"conversation-{number}.log"
            for line in log.read_text().splitlines():
                if reply_id in line and '"turn taken' in line:
                    taken[json.loads(line)["time"]] = pid
        return "conversation, which writes it", taken[max(taken)]

    async def streams(self, _: str, socket: ClientConnection) -> tuple[str, int]:
        """The edge at the other end of the socket."""
        ours = socket.local_address[1]
        for pid in self._running.processes("edge"):
            if any(each.raddr and each.raddr.port == ours for each in psutil.Process(pid).net_connections("tcp")):
                return "the edge, which streams it", pid
        raise LookupError("no edge has the socket")


class Reader:
    """Shows a reply as it comes, and comes back with its cursor as often as its socket breaks."""

    def __init__(self, ann: Person) -> None:
        self._ann = ann
        self.text = ""
        self._cursor: str | None = None
        self.ended: dict[str, Any] | None = None

    async def read(self, conversation_id: str, reply_id: str, kills: dict[int, Kill]) -> None:
        """`kills`: after so many characters the process that each of them finds dies."""
        while self.ended is None:
            try:
                async with self._ann.socket() as socket:
                    variables = {"conversationId": conversation_id, "messageId": reply_id, "after": self._cursor}
                    payload = {"query": REPLY, "variables": variables}
                    await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
                    while self.ended is None:
                        self._take(json.loads(await socket.recv()))
                        due = [at for at in kills if len(self.text) >= at]
                        for at in due if self.ended is None else ():
                            await _kill(*await kills.pop(at)(reply_id, socket))
            except (OSError, WebSocketException):
                await asyncio.sleep(AGAIN_SECONDS)

    def _take(self, message: dict[str, Any]) -> None:
        event = message["payload"]["data"]["reply"]
        self._cursor, self.ended = event["cursor"], event.get("message")
        self.text += event.get("text", "")
        print(event.get("text", ""), end="", flush=True)


async def _kill(what: str, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    say(f"\n{RED}{BOLD}  ✗ kill -9 {pid}: {what}{OFF}")


async def answer(ann: Person, victims: dict[float, Kill], length: int) -> tuple[Reader, dict[str, Any], float]:
    """An answer to the question; `victims` die after these parts of its `length`."""
    conversation_id = await ann.new_conversation()
    parameters = {"seed": SEED, "maxOutputTokens": TOKENS, "temperature": 0.8}
    started = time.monotonic()
    reply = (await ann.send(conversation_id, QUESTION, parameters=parameters))["reply"]
    reader = Reader(ann)
    await reader.read(conversation_id, reply["id"], {int(part * length): kill for part, kill in victims.items()})
    seconds = time.monotonic() - started
    return reader, await ann.message(conversation_id, reply["id"]), seconds


async def charged(ann: Person) -> int:
    """Tokens that the account has used, once nothing is set aside any more."""
    while True:
        usage = (await ann.query("{ viewer { usage { usedTokens reservedTokens } } }"))["viewer"]["usage"]
        if not int(usage["reservedTokens"]):
            return int(usage["usedTokens"])
        await asyncio.sleep(0.1)


def check(what: str, true: bool) -> bool:
    say(f"{GREEN}✓{OFF} {what}" if true else f"{RED}✗{OFF} {what}: NO")
    return true


async def show(running: Running) -> bool:
    ann, victims = Person(running.url, running.api_key), Victims(running)
    say(f"{BOLD}{QUESTION}{OFF}\n\n{DIM}First undisturbed:{OFF}\n")
    unbroken, row, seconds = await answer(ann, {}, 0)
    say(f"\n\n{DIM}{row['usage']['completionTokens']} tokens in {seconds:.1f} s. Now with the same seed, and:{OFF}\n")
    before = await charged(ann)
    kills: dict[float, Kill] = {0.2: victims.computes, 0.45: victims.writes, 0.7: victims.streams}
    broken, row, seconds = await answer(ann, kills, len(unbroken.text))
    cost = await charged(ann) - before
    say(f"\n\n{DIM}{row['usage']['completionTokens']} tokens in {seconds:.1f} s.{OFF}")
    same = check(f"the same {len(broken.text)} characters", broken.text == unbroken.text == row["text"])
    once = check(f"charged once, {cost} tokens", cost == sum(row["usage"].values()))
    await ann.close()
    return same and once


async def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo-failover", description=__doc__.partition("\n")[0])
    parser.add_argument("--fake", action="store_true", help="an engine without a model, which starts at once")
    environment = {"PARLEY_ENGINE": "fake", "PARLEY_FAKE_TOKENS_PER_SECOND": "40"} if parser.parse_args().fake else {}
    say(f"{DIM}Starting a mesh of its own: two replicas of conversation, inference and edge …{OFF}")
    with tempfile.TemporaryDirectory(prefix="parley-demo-") as folder:
        async with mesh(Path(folder) / "data", "--replicas", REPLICAS, environment=environment) as running:
            good = await show(running)
            say(f"{DIM}Stopping.{OFF}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
