from tests.auth.contract_accounts import AccountStoreContract, AttemptStoreContract
from tests.auth.contract_deletion import DeletionContract
from tests.auth.contract_ledger import LedgerStoreContract
from tests.auth.contract_secrets import ApiKeyStoreContract, SessionStoreContract, SigningKeyStoreContract


class TestAccounts(AccountStoreContract):
    pass


class TestAttempts(AttemptStoreContract):
    pass


class TestApiKeys(ApiKeyStoreContract):
    pass


class TestSessions(SessionStoreContract):
    pass


class TestSigningKeys(SigningKeyStoreContract):
    pass


class TestLedger(LedgerStoreContract):
    pass


class TestDeletion(DeletionContract):
    pass
