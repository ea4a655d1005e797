"""Contiguous shares of a fixed space, first fit: where in the key-value cache each generation keeps its tokens."""


class Extents:
    """Lends ranges of `capacity` units. The lowest fitting one is lent, so that memory is touched only as needed."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._free = [(0, capacity)]
        """Start and end of each free range, in order; no two of them touch."""

    def take(self, size: int) -> int | None:
        """The start of a range that is the caller's until it gives it back, or None while none is large enough."""
        assert size > 0
        for index, (start, end) in enumerate(self._free):
            if end - start >= size:
                self._free[index : index + 1] = [(start + size, end)] if start + size < end else []
                return start
        return None

    def give(self, start: int, size: int) -> None:
        """Takes back a range that was lent."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted([*self._free, (start, start + size)]):
            if merged and merged[-1][1] == first:
                merged[-1] = (merged[-1][0], last)
            else:
                assert not merged or merged[-1][1] < first
                merged.append((first, last))
        self._free = merged
