"""A fault: what is done to a mesh in full flow, and which promise it threatens."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.chaos.arena import Arena
from tests.chaos.stage import Stage, empty_stage

Strike = Callable[[Arena, Random], Awaitable[None]]
"""Called when the workload flows; returns when the fault is over. All that is drawn comes from the Random."""


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    threatens: str
    """The promise, in plain words."""
    strike: Strike
    environment: Mapping[str, str] = field(default_factory=dict)
    """Of the mesh, on top of the fake engine's."""
    stage: Callable[[Path], AbstractAsyncContextManager[Stage]] = empty_stage
    """Opened in an empty folder before the mesh starts, closed after it has ended."""
    streams: int = 6
    """Long answers that run at the same time."""
    kinds: tuple[str, ...] = ("embedded", "real")
    """Of stores that the fault can be done to, the first where nobody asks for another."""
