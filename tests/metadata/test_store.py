from tests.metadata.contract import MetadataStoreContract
from tests.metadata.contract_settings import SettingsStoreContract


class TestStore(MetadataStoreContract, SettingsStoreContract):
    """On each store."""
