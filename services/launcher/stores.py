"""Where each service keeps what it remembers: in the data folder, or on a server that the environment names."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from services.chassis.config import child_environment
from services.launcher.config import LauncherSettings
from services.launcher.refusal import RefusalError
from services.launcher.screen import Screen

STORED = ("auth", "history", "metadata")
"""Services with a store of their own."""
VARIABLE = "PARLEY_STORE_URL"
WITHHELD = frozenset({*(f"PARLEY_{name.upper()}_STORE_URL" for name in STORED), "PARLEY_REDIS_URL"})
"""What the launcher is told and a service is not: each knows its own store alone."""


@dataclass(frozen=True, slots=True)
class Stores:
    folder: Path
    servers: dict[str, SecretStr]
    """The URLs of the services whose store is a server."""

    @classmethod
    def of(cls, settings: LauncherSettings) -> "Stores":
        named = {name: getattr(settings, f"{name}_store_url") for name in STORED}
        return cls(settings.data.resolve(), {name: url for name, url in named.items() if url})

    def url(self, name: str) -> str:
        if name in self.servers:
            return self.servers[name].get_secret_value()
        return f"sqlite:///{self.folder / name}.sqlite"

    async def migrate(self, screen: Screen) -> None:
        """Brings the schemas on servers up to date; files are migrated by who opens them. Raises RefusalError."""
        for name in self.servers:
            await self._migrate(name, screen)

    async def _migrate(self, name: str, screen: Screen) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", f"services.{name}.migrate"),
            env=child_environment({VARIABLE: self.url(name)}, without=WITHHELD),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout
        words = ""
        try:
            async for line in process.stdout:
                words = line.decode(errors="replace").rstrip()
                screen.say(words)
            status = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
        if status:
            raise RefusalError(f"The store of {name} cannot be used: {words}")
