"""The reading side, a process of its own: `python -m benchmarks.streams.client JOB`, with a `Job` as JSON.

It says {"ready": true} once everything that it needs is there, and begins when it is told a line. Then it says
{"start": TIME}, the Unix time from which it counts; what it saw, and its own processor time, is the last line.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from typing import Any, Literal

import uvloop

from benchmarks.streams.arrivals import Arrivals, Summary, summary
from benchmarks.streams.event_stream import read_events
from benchmarks.streams.reply import Reply, open_reply
from benchmarks.streams.web_socket import open_web_socket

Kind = Literal["replies", "event streams", "web sockets", "waiting"]

OPENING = 16
"""Connections that are made at once."""


@dataclass(frozen=True, slots=True)
class Job:
    kind: Kind
    host: str
    port: int
    streams: int
    tokens: int
    api_key: str = ""
    lead_seconds: float = 0
    """Replies all begin so long after they are asked for; 0: each as soon as it can."""


def say(**message: Any) -> None:
    print(json.dumps(message), flush=True)


async def told() -> None:
    """Returns when there is a line to read."""
    await asyncio.to_thread(sys.stdin.readline)


async def all_of(tasks: list[Coroutine[Any, Any, Any]], at_once: int = sys.maxsize) -> list[Any]:
    room = asyncio.Semaphore(at_once)

    async def run(task: Coroutine[Any, Any, Any]) -> Any:
        async with room:
            return await task

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(run(task)) for task in tasks]
    return [task.result() for task in running]


async def opened_replies(job: Job) -> list[Reply]:
    return await all_of([open_reply(job.host, job.port, job.api_key) for _ in range(job.streams)], OPENING)


async def replies(job: Job) -> Summary:
    opened = await opened_replies(job)
    say(ready=True)
    await told()
    start = int(time.time() + job.lead_seconds) + 1 if job.lead_seconds else time.time()
    text = f"words={job.tokens}" + (f" start={start}" if job.lead_seconds else "")
    reading = [asyncio.create_task(send_and_read(reply, text, job.tokens)) for reply in opened]
    await asyncio.sleep(start - time.time())
    say(start=start)
    await asyncio.gather(*reading)
    seen = summary([reply.arrivals for reply in opened], job.tokens, start)
    for reply in opened:
        reply.close()
    return seen


async def send_and_read(reply: Reply, text: str, tokens: int) -> None:
    await reply.send(text, tokens)
    await reply.read()


async def plain_streams(job: Job, read: Callable[[Job, Arrivals], Coroutine[Any, Any, None]]) -> Summary:
    """Of a server without a mesh."""
    say(ready=True)
    await told()
    seen = [Arrivals() for _ in range(job.streams)]
    start = time.time()
    say(start=start)
    await all_of([read(job, each) for each in seen])
    return summary(seen, job.tokens, start)


async def read_event_stream(job: Job, arrivals: Arrivals) -> None:
    await read_events(job.host, job.port, f"/events?tokens={job.tokens}", arrivals)


async def read_web_socket(job: Job, arrivals: Arrivals) -> None:
    socket = await open_web_socket(job.host, job.port, f"/socket?tokens={job.tokens}")
    socket.take = lambda _, now: arrivals.times.append(now)
    await socket.closed
    socket.close()
    arrivals.bytes, arrivals.end = socket.received_bytes, time.time()


async def waiting(job: Job) -> None:
    """Subscriptions to replies that do not begin."""
    opened = await opened_replies(job)
    text = f"words={job.tokens} start={int(time.time() + job.lead_seconds)}"
    await all_of([reply.send(text, job.tokens) for reply in opened], OPENING)
    say(ready=True)
    await told()


async def main(job: Job) -> None:
    match job.kind:
        case "replies":
            seen = await replies(job)
        case "event streams":
            seen = await plain_streams(job, read_event_stream)
        case "web sockets":
            seen = await plain_streams(job, read_web_socket)
        case "waiting":
            await waiting(job)
            return
    say(**asdict(seen))


if __name__ == "__main__":
    uvloop.run(main(Job(**json.loads(sys.argv[1]))))
