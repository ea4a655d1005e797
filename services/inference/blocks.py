"""The key-value cache's memory in blocks: lent one by one, shared by those whose tokens begin alike."""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence

BLOCK_TOKENS = 32
"""Tokens in a block of the key-value cache."""

Key = bytes
"""Names what a block holds: the same tokens after the same tokens, for one tenant."""


def blocks_for(tokens: int) -> int:
    """How many blocks hold so many tokens."""
    return -(-tokens // BLOCK_TOKENS)


class Blocks:
    """A block is free, or held by so many generations, or held by none and kept for what is in it.

    Kept ones make room at once, the one that was let go longest ago first. Not safe for threads.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        # The lowest is lent first, so that memory is touched only as far as it is needed.
        self._free = list(range(capacity - 1, -1, -1))
        self._holders = [0] * capacity
        self._keys: list[Key | None] = [None] * capacity
        self._named: dict[Key, int] = {}
        self._kept: OrderedDict[int, None] = OrderedDict()
        """Longest unused first."""

    @property
    def available(self) -> int:
        """Blocks that can be taken."""
        return len(self._free) + len(self._kept)

    @property
    def held(self) -> int:
        return self.capacity - self.available

    def take(self) -> int | None:
        """A block that the caller holds alone, or None while all are held."""
        if self._free:
            block = self._free.pop()
        elif self._kept:
            block, _ = self._kept.popitem(last=False)
            self._unname(block)
        else:
            return None
        self._holders[block] = 1
        return block

    def find(self, key: Key) -> int | None:
        """The block of this name; whoever wants it to stay holds it before anything is taken."""
        return self._named.get(key)

    def is_held(self, block: int) -> bool:
        return self._holders[block] > 0

    def hold(self, block: int) -> None:
        """One more holds a block that was found."""
        self._holders[block] += 1
        self._kept.pop(block, None)

    def give(self, block: int) -> None:
        """One holder less; after the last, the block is kept if it has a name, else free."""
        assert self._holders[block] > 0
        self._holders[block] -= 1
        if self._holders[block]:
            return
        if self._keys[block] is None:
            self._free.append(block)
        else:
            self._kept[block] = None

    def name(self, block: int, key: Key) -> None:
        """Lets a block that is held be found from now on. Of two with the same contents, the first is found."""
        assert self._holders[block] > 0
        if self._keys[block] is None and key not in self._named:
            self._keys[block] = key
            self._named[key] = block

    def forget(self, block: int) -> None:
        """What is in the block is not to be found again."""
        self._unname(block)
        if block in self._kept:
            del self._kept[block]
            self._free.append(block)

    def forget_all(self) -> None:
        for block in tuple(self._named.values()):
            self.forget(block)

    def _unname(self, block: int) -> None:
        key, self._keys[block] = self._keys[block], None
        if key is not None:
            del self._named[key]

    def check(self, tables: Iterable[Sequence[int]]) -> None:
        """Asserts that every block is accounted for by these block tables, which are all that there are."""
        holders = Counter(block for table in tables for block in table)
        assert self._holders == [holders[block] for block in range(self.capacity)]
        held = set(holders)
        assert sorted([*self._free, *self._kept, *held]) == list(range(self.capacity)), "lost, or at two places"
        named = {block: key for block, key in enumerate(self._keys) if key is not None}
        assert self._named == {key: block for block, key in named.items()}
        assert named.keys() == (named.keys() & held) | self._kept.keys()
