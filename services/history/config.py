"""What can be turned in history."""

from services.chassis.config import PeerSettings, ServiceSettings, StoreSettings


class Config(ServiceSettings, PeerSettings, StoreSettings):
    pass
