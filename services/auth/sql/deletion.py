"""The end of an account."""

from collections.abc import Mapping

from sqlalchemy import Connection, delete, select

from services.auth.records import Owner
from services.auth.sql.owned import of, owned
from services.auth.sql.tables import accounts, api_keys, credentials, periods, reservations, sessions, sign_in_attempts


def delete_account(connection: Connection, owner: Owner, subject: str) -> Mapping[str, int] | None:
    """Deletes a closed account and all that is its own; see `AccountStore.delete`."""
    # Alone on this row: who writes for the account has done so, and is found below, or comes too late.
    alone = select(accounts.c.close_time).where(owned(accounts)).with_for_update()
    found = connection.execute(alone, of(owner)).one_or_none()
    if found and found.close_time is None:
        return None
    wheres = {
        # In the order in which the ledger takes them.
        periods: owned(periods),
        reservations: owned(reservations),
        sessions: owned(sessions),
        api_keys: owned(api_keys),
        credentials: credentials.c.account_id == owner.account_id,
        sign_in_attempts: sign_in_attempts.c.subject == subject,
        accounts: owned(accounts),
    }
    if not found:
        return dict.fromkeys((table.name for table in wheres), 0)
    deletes = {table.name: delete(table).where(where) for table, where in wheres.items()}
    return {name: connection.execute(statement, of(owner)).rowcount for name, statement in deletes.items()}
