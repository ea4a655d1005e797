"""What can be turned in metadata."""

from pydantic import Field

from services.chassis.config import PeerSettings, ServiceSettings, StoreSettings


class Config(ServiceSettings, PeerSettings, StoreSettings):
    update_attempts: int = Field(50, ge=1)
    """How often an update without an etag is tried again because others wrote meanwhile."""
