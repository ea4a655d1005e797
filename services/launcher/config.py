"""What `python -m services` can be told; services read the rest of the environment themselves."""

from pathlib import Path

from pydantic import Field

from services.chassis.config import SecretUrl, Settings


class LauncherSettings(Settings):
    """Of the whole mesh on this machine."""

    data: Path = Path(".parley")
    """Databases, logs, secrets: everything that the mesh keeps."""
    host: str = "127.0.0.1"
    """Where the edge listens."""
    port: int = Field(8080, ge=1, le=65535)
    admin_email: str = "admin@localhost"
    """Of the account that the first start creates."""
    auth_store_url: SecretUrl | None = None
    history_store_url: SecretUrl | None = None
    metadata_store_url: SecretUrl | None = None
    """The server that each of these shall use instead of a file in the data folder."""
    redis_url: SecretUrl | None = None
    """The Redis that conversation shall use instead of a Valkey that is started beside it."""
    drain_seconds: float = Field(0, ge=0, le=600)
    grace_seconds: float = Field(10, ge=0, le=600)
    """As the services read them; the launcher waits a little longer than both before it kills."""

    @property
    def stop_seconds(self) -> float:
        return self.drain_seconds + self.grace_seconds + 3
