"""What can be turned in history."""

from services.chassis.config import PeerSettings, ServiceSettings


class Config(ServiceSettings, PeerSettings):
    store_url: str
    """sqlite:///path of the file."""
