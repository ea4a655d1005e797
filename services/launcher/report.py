"""Words about a mesh that runs, for other terminals and for scripts."""

import asyncio
import sys
from pathlib import Path

from services.chassis.errors import DomainError
from services.launcher.account import Files, inner_token, read_key
from services.launcher.probe import healthy
from services.launcher.refusal import RefusalError
from services.launcher.screen import LABEL_WIDTH
from services.launcher.secret import load_secrets
from services.launcher.state import read_state


async def print_status(data: Path) -> int:
    """A line for each process. Returns 1 if any of them is not healthy."""
    processes = read_state(data)
    health = await asyncio.gather(*(healthy(process.endpoint) for process in processes))
    for process, ok in zip(processes, health, strict=True):
        words = f"{process.label:<{LABEL_WIDTH}} {'healthy' if ok else 'NOT HEALTHY':<11}"
        sys.stdout.write(f"{words}  pid {process.pid:<8} {process.address}\n")
    return 0 if all(health) else 1


def print_address(data: Path, service: str) -> int:
    sys.stdout.write(_address(data, service) + "\n")
    return 0


async def print_token(data: Path, audience: str) -> int:
    secrets = load_secrets(data, make=False)
    if not read_key(Files(data)):
        raise RefusalError(f"{Files(data).api_key} is not there yet.")
    try:
        token = await inner_token(Files(data), audience, _address(data, "auth"), secrets)
    except DomainError as error:
        raise RefusalError(f"auth gives no token: {error.message}") from None
    sys.stdout.write(token + "\n")
    return 0


def _address(data: Path, service: str) -> str:
    for process in read_state(data):
        if process.name == service:
            return process.address
    raise RefusalError(f"{service} does not run.")
