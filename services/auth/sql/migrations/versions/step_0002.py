"""Accounts that are closed, and what an account owns found without reading everybody's."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
works_from = 1


def upgrade() -> None:
    op.add_column("accounts", sa.Column("close_time", sa.DateTime(timezone=True)))
    op.create_index("sessions_owned", "sessions", ["tenant_id", "account_id"])
