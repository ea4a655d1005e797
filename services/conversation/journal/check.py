"""Whether a journal can be used."""

import asyncio
from collections.abc import Sequence

from services.conversation.journal.failures import FAILURES, not_ready, refusal
from services.conversation.journal.script import Script
from services.conversation.journal.servers import Servers
from services.conversation.keys import Keys

OTHERS_SECONDS = 0.25
"""How long the first check waits for what the other shards say, when one can be written."""


class Check:
    """Passes while one shard can be written: a cluster that lost a node still serves the others' conversations."""

    def __init__(self, servers: Servers, keys: Keys, shards: Sequence[int]) -> None:
        self._servers, self._keys, self._shards = servers, keys, shards
        self._probe = Script("probe")
        self.passed = False
        """Whether it ever did."""

    async def run(self) -> None:
        """Raises UNAVAILABLE; before it has passed once also RefusedError, for what no waiting mends."""
        found = await self._probe_all()
        failures = [failure for failure in found if failure is not None]
        if not self.passed:
            for failure in failures:
                if refused := refusal(failure):
                    raise refused from failure
        if len(failures) == len(found):
            raise not_ready(failures[0]) from failures[0]
        self.passed = True

    async def _probe_all(self) -> list[Exception | None]:
        """What became of the probes of the shards that answered in time: nobody waits for those that hang."""
        waiting = {asyncio.create_task(self._try(shard)) for shard in self._shards}
        found: list[Exception | None] = []
        try:
            while waiting and None not in found:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                found += [task.result() for task in done]
            if waiting and not self.passed:
                done, waiting = await asyncio.wait(waiting, timeout=OTHERS_SECONDS)
                found += [task.result() for task in done]
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        return found

    async def _try(self, shard: int) -> Exception | None:
        try:
            await self._probe.run(self._servers, shard, [self._keys.probe(shard)])
        except FAILURES as error:
            return error
        return None
