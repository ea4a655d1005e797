"""What belongs to an account, and the lock that keeps it from outliving the account.

Whoever writes a new row for an account first takes its row with `open_account`. That waits for nobody but a deletion,
which takes the row alone, and finds by then everything that was written.
"""

from sqlalchemy import ColumnElement, FromClause, Select, and_, bindparam, select

from services.auth.records import Owner
from services.auth.sql.tables import accounts


def owned(table: FromClause) -> ColumnElement[bool]:
    """Rows of the owner that `of` names when the statement is run.

    Statements are built once: that takes several times as long as to run one.
    """
    return and_(table.c.tenant_id == bindparam("of_tenant"), table.c.account_id == bindparam("of_account"))


def of(owner: Owner, **values: object) -> dict[str, object]:
    return {"of_tenant": owner.tenant_id, "of_account": owner.account_id, **values}


def open_account(*columns: ColumnElement[object]) -> Select[tuple[object, ...]]:
    """Finds an account's row, unless it is closed, and keeps it until the transaction ends."""
    wanted = select(*(columns or (accounts.c.account_id,))).where(owned(accounts), accounts.c.close_time.is_(None))
    return wanted.with_for_update(read=True, key_share=True)
