"""What people do while a fault strikes: three accounts, each with a word of its own in all that it asks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from tests.chaos.client import Client
from tests.chaos.record import History, Question
from tests.chaos.stream import Stream

LONG_WORDS, SHORT_WORDS = 80, 5
LONG_QUESTIONS = 3
"""Of each account; they come again, so that each has been answered once before the fault."""
PAUSE_SECONDS = 0.3
"""Between two short messages of one person."""
TURNS = 8
"""Of one conversation of short messages, before a new one is begun."""


class Workload:
    def __init__(self, clients: list[Client], history: History, seed: str, streams: int) -> None:
        self._clients, self._history, self._seed, self._streams = clients, history, seed, streams
        self._draw = Random(seed)
        self._stopping = asyncio.Event()
        self._tasks: asyncio.TaskGroup
        self._talking: dict[int, Stream] = {}
        """By talker: the long answer that he follows."""
        self._long = {each: self._questions(each, LONG_WORDS, LONG_QUESTIONS) for each in clients}
        self._short = {each: self._questions(each, SHORT_WORDS, 1)[0] for each in clients}
        self._answered_short = 0

    def _questions(self, client: Client, words: int, count: int) -> list[Question]:
        canary = self._history.canaries[client.account]
        return [Question(f"words={words} tell {canary} number {n}", self._draw.randrange(2**31)) for n in range(count)]

    async def ask_before(self) -> None:
        """Has each question answered while nothing is amiss."""
        async with asyncio.TaskGroup() as tasks:
            for client in self._clients:
                for question in [*self._long[client], self._short[client]]:
                    tasks.create_task(self._ask_before(client, question))

    async def _ask_before(self, client: Client, question: Question) -> None:
        stream = await client.ask(await client.new_conversation(), question)
        await client.watch(stream)
        self._history.unbroken[client.account, question] = stream.text

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Everybody is at work inside the block; leaving it, all that was begun comes to its end."""
        async with asyncio.TaskGroup() as self._tasks:
            for number in range(self._streams):
                self._tasks.create_task(self._talk(number))
            self._tasks.create_task(self._send_steadily(self._clients[0]))
            self._tasks.create_task(self._change_mind(self._clients[1]))
            self._tasks.create_task(self._send_steadily(self._clients[2]))
            try:
                await self._until_flowing()
                yield
            finally:
                self._stopping.set()

    async def _until_flowing(self) -> None:
        async with asyncio.timeout(60):
            while (
                not self._answered_short or len([each for each in self._talking.values() if each.text]) < self._streams
            ):
                await asyncio.sleep(0.02)

    async def ask(self) -> Stream:
        """A long answer of somebody's, watched until it ends."""
        client = self._draw.choice(self._clients)
        return await self._begin(client, self._draw.choice(self._long[client]))

    def whole(self, stream: Stream) -> str:
        """The text that it will have in the end."""
        return self._history.unbroken[stream.asked.account, stream.asked.question]

    async def _begin(self, client: Client, question: Question) -> Stream:
        stream = await client.ask(await client.new_conversation(), question)
        self._tasks.create_task(client.watch(stream))
        return stream

    async def _talk(self, number: int) -> None:
        """One long answer after the other, some with a second watcher who comes later."""
        client, draw = self._clients[number % len(self._clients)], Random(f"{self._seed}/talker {number}")
        while not self._stopping.is_set():
            stream = await self._begin(client, draw.choice(self._long[client]))
            self._talking[number] = stream
            if draw.random() < 0.5:
                self._tasks.create_task(self._watch_later(client, stream, draw.randrange(1, LONG_WORDS // 2)))
            await stream.over.wait()

    async def _watch_later(self, client: Client, stream: Stream, words: int) -> None:
        while stream.words < words and not stream.over.is_set():
            await asyncio.sleep(0.05)
        await client.watch(client.watcher(stream.asked))

    async def _send_steadily(self, client: Client) -> None:
        while not self._stopping.is_set():
            conversation_id, parent_id = await client.new_conversation(), None
            for _ in range(TURNS):
                if self._stopping.is_set():
                    return
                stream = await client.ask(conversation_id, self._short[client], parent_id)
                await client.watch(stream)
                self._answered_short += 1
                parent_id = stream.asked.reply_id
                await asyncio.sleep(PAUSE_SECONDS)

    async def _change_mind(self, client: Client) -> None:
        """Stops a long answer in its middle, and asks for the short one once more."""
        draw = Random(f"{self._seed}/change of mind")
        while not self._stopping.is_set():
            stream = await self._begin(client, self._long[client][0])
            until = draw.choice((0, draw.randrange(1, 30)))
            while stream.words < until and not stream.over.is_set():
                await asyncio.sleep(0.02)
            await client.cancel(stream.asked)
            await stream.over.wait()
            short = await self._begin(client, self._short[client])
            await short.over.wait()
            await client.watch(await client.regenerate(short.asked))
