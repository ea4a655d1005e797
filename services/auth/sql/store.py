"""The store of auth in a SQL database."""

from services.auth.sql.accounts import SqlAccounts
from services.auth.sql.api_keys import SqlApiKeys
from services.auth.sql.attempts import SqlAttempts
from services.auth.sql.database import Database
from services.auth.sql.ledger import SqlLedger
from services.auth.sql.sessions import SqlSessions
from services.auth.sql.signing_keys import SqlSigningKeys
from services.auth.store import Store


def sql_store(database: Database) -> Store:
    return Store(
        accounts=SqlAccounts(database),
        attempts=SqlAttempts(database),
        api_keys=SqlApiKeys(database),
        sessions=SqlSessions(database),
        signing_keys=SqlSigningKeys(database),
        ledger=SqlLedger(database),
        probe=database,
    )
