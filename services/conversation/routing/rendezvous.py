"""Rendezvous hashing: for each key its own order of the nodes, the same in every process.

Where a node comes or goes, only the keys that had or get it as their first move. D. Thaler and C. Ravishankar, "Using
name-based mappings to increase hit rates", IEEE/ACM Transactions on Networking 6(1), 1998.
"""

import hashlib
from collections.abc import Iterable


def order(key: str, nodes: Iterable[str]) -> list[str]:
    """The nodes, the key's first choice first."""
    return sorted(nodes, key=lambda node: _weight(key, node), reverse=True)


def _weight(key: str, node: str) -> bytes:
    return hashlib.blake2b(f"{key}\0{node}".encode(), digest_size=8).digest()
