"""The grammars of a model's vocabulary: each schema is compiled once, off the event loop, and only if that is quick."""

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Collection
from pathlib import Path

from services.inference import schema_check
from services.inference.detokenizer import Vocabulary
from services.inference.engine import engine_failed, invalid, overloaded
from services.inference.grammar import FIELD, Grammar, SchemaError, TokenTrie, explain, write_grammar

CACHED = 32
"""Grammars that are kept, the last used: an application asks with few schemas. A large one takes 10 MB."""
WAITING = 16
"""Schemas that wait to be compiled, one at a time; more are refused."""
CHECK_SECONDS = 10.0
"""How long a check may take on a machine that has much else to do; its own bound is CPU_SECONDS."""


class Grammars:
    def __init__(self, vocabulary: Vocabulary, end_ids: Collection[int]) -> None:
        """Takes 0.3 s, in which no other thread runs Python: make it before anybody waits for a token."""
        self._trie = TokenTrie(vocabulary, end_ids) if end_ids else None
        self._known: OrderedDict[str, Grammar | str] = OrderedDict()
        """What a schema was compiled to, or why it cannot be: a bad one does not cost its time again either."""
        self._turn, self._waiting = asyncio.Lock(), 0

    async def find(self, schema: str) -> Grammar:
        """Raises INVALID_ARGUMENT for a schema that no reply can be kept to; ENGINE_OVERLOADED or ENGINE_FAILED."""
        if schema not in self._known:
            await self._compile_in_turn(schema)
        self._known.move_to_end(schema)
        found = self._known[schema]
        if isinstance(found, str):
            raise invalid(FIELD, found)
        return found

    async def _compile_in_turn(self, schema: str) -> None:
        if self._waiting >= WAITING:
            raise overloaded("Too many schemas wait to be compiled.", retry_after=1)
        self._waiting += 1
        try:
            async with self._turn:
                if schema not in self._known:
                    self._known[schema] = await self._compile(schema)
                    if len(self._known) > CACHED:
                        self._known.popitem(last=False)
        finally:
            self._waiting -= 1

    async def _compile(self, schema: str) -> Grammar | str:
        if not self._trie:
            return "must be empty: the model has no token by which a reply ends"
        try:
            text = await asyncio.to_thread(write_grammar, schema)
            await _check(text)
            return await asyncio.to_thread(Grammar, text, self._trie)
        except SchemaError as error:
            return str(error)


async def _check(text: str) -> None:
    """Raises SchemaError for a grammar that cannot be compiled, or not within the bounds of a process.

    ENGINE_OVERLOADED and ENGINE_FAILED say nothing of the grammar, and are not remembered.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", str(Path(schema_check.__file__))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            output, _ = await process.communicate(text.encode())
    except TimeoutError:
        raise overloaded("The schema could not be checked in time.", retry_after=1) from None
    finally:
        if process.returncode is None:
            process.kill()
        status = await process.wait()
    if status < 0:
        raise SchemaError("takes too much time or memory to compile")
    if status:
        raise engine_failed("Schemas cannot be checked.")
    if output:
        raise SchemaError(explain(output.decode(errors="replace")))
