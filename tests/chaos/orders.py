"""Orders to processes of the mesh, which `inside/sitecustomize.py` carries out in them."""

import signal
from pathlib import Path

from tests.chaos.arena import Arena, Process

ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).with_name("inside"))}
"""Of a mesh whose processes take orders."""
OBEYED_SECONDS = 20.0
"""A process that loads a model or collects garbage lets a signal wait."""


async def order(arena: Arena, process: Process, words: str) -> None:
    """Returns when the process has begun to do it."""
    path = arena.running.folder / "orders" / str(process.pid)
    path.parent.mkdir(exist_ok=True)
    path.write_text(words)
    arena.signal(signal.SIGUSR1, process)
    await arena.until(lambda: not path.exists(), OBEYED_SECONDS)
