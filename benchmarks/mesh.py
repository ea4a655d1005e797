"""What the mesh itself costs: a whole mesh on this machine, with an engine that costs nothing.

    python -m benchmarks.mesh

Prints the time from sending a message to the first delta of its reply, and how fast many replies stream at once, both
through every service and read by a real client over a WebSocket. The client shares the machine with the mesh.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from services.chassis.ids import new_id
from tests.mesh.person import REPLY, Person
from tests.mesh.running import Running, mesh

MESSAGES = 200
WARM_UP = 20
STREAMS = (1, 25, 100)
TOKENS, TOKENS_PER_SECOND = 500, 100


async def first_delta(person: Person) -> float:
    """Seconds from sending a message to the first delta of its reply, on a socket that is open already."""
    conversation_id = await person.new_conversation(displayName="benchmark")
    async with person.socket() as socket:
        started = time.perf_counter()
        reply = (await person.send(conversation_id, "say: hello", replyId=new_id()))["reply"]
        variables = {"conversationId": conversation_id, "messageId": reply["id"]}
        await socket.send(
            json.dumps({"id": "1", "type": "subscribe", "payload": {"query": REPLY, "variables": variables}})
        )
        while True:
            payload = json.loads(await socket.recv())["payload"]
            if payload["data"]["reply"]["__typename"] != "ReplyHeartbeat":
                return time.perf_counter() - started


async def latency(folder: Path) -> None:
    async with mesh(folder, environment={"PARLEY_ENGINE": "fake"}) as running:
        person = Person(running.url, running.api_key)
        taken = sorted([await first_delta(person) * 1000 for _ in range(WARM_UP + MESSAGES)][WARM_UP:])
        await person.close()
    p50, p99 = statistics.median(taken), taken[int(len(taken) * 0.99) - 1]
    print(f"send to first delta, {MESSAGES} messages one after the other: p50 {p50:.1f} ms, p99 {p99:.1f} ms")


async def stream(person: Person, start: asyncio.Event) -> tuple[float, int]:
    """Seconds from sending a message to the end of its reply, and how many deltas it came in."""
    conversation_id = await person.new_conversation(displayName="benchmark")
    await start.wait()
    started = time.perf_counter()
    text = f"say: {'x' * (TOKENS - 1)}"
    reply = (await person.send(conversation_id, text))["reply"]
    deltas = 0
    async with person.socket() as socket:
        variables = {"conversationId": conversation_id, "messageId": reply["id"]}
        await socket.send(
            json.dumps({"id": "1", "type": "subscribe", "payload": {"query": REPLY, "variables": variables}})
        )
        async for frame in socket:
            message = json.loads(frame)
            if message["type"] == "complete":
                break
            deltas += message["payload"]["data"]["reply"]["__typename"] == "ReplyDelta"
    return time.perf_counter() - started, deltas


async def throughput(running: Running, streams: int) -> None:
    person = Person(running.url, running.api_key)
    start = asyncio.Event()
    tasks = [asyncio.create_task(stream(person, start)) for _ in range(streams)]
    await asyncio.sleep(1 + streams / 50)  # for the conversations to be made
    started = time.perf_counter()
    start.set()
    taken = await asyncio.gather(*tasks)
    wall = time.perf_counter() - started
    await person.close()
    deltas = sum(count for _, count in taken)
    slowest = max(seconds for seconds, _ in taken)
    ideal = TOKENS / TOKENS_PER_SECOND
    print(
        f"{streams:5} streams of {TOKENS} tokens at {TOKENS_PER_SECOND}/s: {slowest:5.2f} s "
        f"(ideal {ideal:.1f} s), {streams * TOKENS / wall:.0f} tokens/s, {deltas / wall:.0f} deltas/s"
    )


async def main() -> None:
    print(f"{os.cpu_count()} cores, shared by the mesh and its client")
    with tempfile.TemporaryDirectory() as folder:
        await latency(Path(folder) / "latency")
        paced = {
            "PARLEY_ENGINE": "fake",
            "PARLEY_FAKE_TOKENS_PER_SECOND": str(TOKENS_PER_SECOND),
            "PARLEY_SLOTS": str(max(STREAMS)),
        }
        async with mesh(Path(folder) / "paced", environment=paced) as running:
            for streams in STREAMS:
                await throughput(running, streams)


if __name__ == "__main__":
    asyncio.run(main())
