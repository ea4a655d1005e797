"""What was computed before is found again: full blocks of tokens, by the chain of all that came before them.

A block's name is a hash over the name of the block before it and its own tokens, so that two blocks of one name hold
the keys and values of the same tokens in the same context (as vLLM's automatic prefix caching has it). The chain begins
at a hash of the tenant under a secret of this process: nobody can find, or bring about, a name in another's chain.
"""

from array import array
from hashlib import blake2b
from secrets import token_bytes

from services.inference.blocks import BLOCK_TOKENS, Blocks, Key
from services.inference.generation import Generation

_KEY_BYTES = 32


class PrefixCache:
    """Belongs to a scheduler: it names blocks and finds them, and lends none."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._secret = token_bytes(_KEY_BYTES)

    def find(self, generation: Generation) -> list[int]:
        """The blocks that begin as the generation does, as many as are known, its last token never among them.

        That one is always computed, because what it brings are the next token's odds.
        """
        found: list[int] = []
        for place in range((generation.length - 1) // BLOCK_TOKENS):
            block = self._blocks.find(self._key(generation, place))
            if block is None:
                break
            found.append(block)
        return found

    def enter(self, generation: Generation, start: int, stop: int) -> None:
        """Lets the blocks be found that became full when the tokens from `start` to before `stop` were computed."""
        for place in range(start // BLOCK_TOKENS, stop // BLOCK_TOKENS):
            self._blocks.name(generation.blocks[place], self._key(generation, place))

    def _key(self, generation: Generation, place: int) -> Key:
        keys = generation.keys
        while len(keys) <= place:
            begin = len(keys) * BLOCK_TOKENS
            tokens = array("I", generation.tokens(begin, begin + BLOCK_TOKENS)).tobytes()
            keys.append(self._hash((keys[-1] if keys else self._hash(generation.tenant.encode())) + tokens))
        return keys[place]

    def _hash(self, data: bytes) -> bytes:
        return blake2b(data, key=self._secret, digest_size=_KEY_BYTES).digest()
