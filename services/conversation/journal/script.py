"""A script in lua/: run by its digest, and sent whole to a server that does not know it."""

import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

from redis.exceptions import NoScriptError

from services.conversation.journal.servers import Servers


class Script:
    def __init__(self, name: str) -> None:
        self._source = resources.files("services.conversation").joinpath("lua", f"{name}.lua").read_text()
        self._digest = hashlib.sha1(self._source.encode(), usedforsecurity=False).hexdigest()

    async def run(self, servers: Servers, shard: int, keys: Sequence[str], values: Sequence[object] = ()) -> Any:
        """All keys are of the shard. Raises what `Servers.call` raises."""
        try:
            return await servers.call(shard, "EVALSHA", self._digest, len(keys), *keys, *values)
        except NoScriptError:
            return await servers.call(shard, "EVAL", self._source, len(keys), *keys, *values)
