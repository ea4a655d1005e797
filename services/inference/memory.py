"""Where each generation keeps its keys and values: its block table grows with it, and begins with what others left."""

from collections.abc import Iterable

from services.inference.blocks import BLOCK_TOKENS, Blocks, blocks_for
from services.inference.generation import Generation
from services.inference.prefix_cache import PrefixCache


class Memory:
    """The block tables of all that runs. Not safe for threads."""

    def __init__(self, tokens: int) -> None:
        self._blocks = Blocks(tokens // BLOCK_TOKENS)
        self._prefixes = PrefixCache(self._blocks)

    @property
    def capacity(self) -> int:
        """In tokens; so is the next."""
        return self._blocks.capacity * BLOCK_TOKENS

    @property
    def held(self) -> int:
        return self._blocks.held * BLOCK_TOKENS

    def found(self, generation: Generation) -> int:
        """How many of its tokens would not have to be computed, as of now."""
        return len(self._prefixes.find(generation)) * BLOCK_TOKENS

    def open(self, generation: Generation, margin: int) -> bool:
        """Gives a generation a table for all its tokens, unless fewer than `margin` blocks would be left besides."""
        found = self._prefixes.find(generation)
        needed = blocks_for(generation.length) - len(found)
        kept = sum(not self._blocks.is_held(block) for block in found)
        if self._blocks.available - kept < needed + margin:
            return False
        for block in found:
            self._blocks.hold(block)
        generation.blocks = found
        generation.cached = len(found) * BLOCK_TOKENS
        return self.grow(generation)

    def grow(self, generation: Generation) -> bool:
        """Makes room for all the generation's tokens, as far as there is; says whether that is enough."""
        while len(generation.blocks) < blocks_for(generation.length):
            if not self._lengthen(generation):
                return False
        return True

    def computed(self, generation: Generation, count: int) -> None:
        """The keys and values of its next tokens are in the cache."""
        start = generation.cached
        generation.cached += count
        self._prefixes.enter(generation, start, generation.cached)

    def close(self, generation: Generation) -> None:
        """Takes back the table. What is full stays to be found until its room is needed, the last tokens' first."""
        for block in reversed(generation.blocks):
            self._blocks.give(block)
        generation.blocks, generation.cached = [], 0

    def discard(self, generation: Generation) -> None:
        """Takes back the table of one whose numbers were wrong: nothing of it is to be found."""
        for block in generation.blocks:
            self._blocks.forget(block)
        self.close(generation)

    def forget(self) -> None:
        """Nothing that was computed before is to be found any more."""
        self._blocks.forget_all()

    def check(self, generations: Iterable[Generation]) -> None:
        """Asserts that every block is accounted for by these generations, which are all that have tables."""
        self._blocks.check([generation.blocks for generation in generations])

    def _lengthen(self, generation: Generation) -> bool:
        block = self._blocks.take()
        if block is None:
            return False
        generation.blocks.append(block)
        return True
