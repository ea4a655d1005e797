"""The schema of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
works_from = 1

Key = sa.String().with_variant(sa.String(collation="C"), "postgresql")
Time = sa.DateTime(timezone=True)


def upgrade() -> None:
    # A release that knows no alembic looks here, and must not create the tables again.
    if op.get_bind().dialect.name == "sqlite":
        op.execute("PRAGMA user_version = 1")
    op.create_table(
        "schema_versions",
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("works_from", sa.Integer, nullable=False),
    )
    _people()
    _secrets()
    _ledger()


def _people() -> None:
    op.create_table(
        "accounts",
        sa.Column("account_id", Key, primary_key=True),
        sa.Column("tenant_id", Key, nullable=False),
        sa.Column("email", Key, nullable=False, unique=True),
        sa.Column("display_name", sa.String, nullable=False),
        sa.Column("roles", sa.JSON, nullable=False),
    )
    op.create_table(
        "credentials",
        sa.Column("account_id", Key, primary_key=True),
        sa.Column("password_hash", sa.String, nullable=False),
    )
    op.create_table(
        "sign_in_attempts",
        sa.Column("subject", Key, primary_key=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("window_end", Time, nullable=False, index=True),
    )


def _secrets() -> None:
    op.create_table(
        "api_keys",
        sa.Column("api_key_id", Key, primary_key=True),
        sa.Column("tenant_id", Key, nullable=False),
        sa.Column("account_id", Key, nullable=False),
        sa.Column("display_name", sa.String, nullable=False),
        sa.Column("secret_prefix", sa.String, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("expire_time", Time),
        sa.Column("revoke_time", Time),
        sa.Index("api_keys_listed", "tenant_id", "account_id", "api_key_id"),
    )
    op.create_table(
        "sessions",
        sa.Column("session_id", Key, primary_key=True),
        sa.Column("tenant_id", Key, nullable=False),
        sa.Column("account_id", Key, nullable=False),
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        sa.Column("refresh_time", Time, nullable=False),
        sa.Column("expire_time", Time, nullable=False, index=True),
        sa.Column("end_time", Time),
    )
    op.create_table(
        "signing_keys",
        sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("key_id", Key, nullable=False, unique=True),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("sealed_private_key", sa.String, nullable=False),
        sa.Column("activate_time", Time, nullable=False),
    )


def _ledger() -> None:
    op.create_table(
        "periods",
        sa.Column("tenant_id", Key, primary_key=True),
        sa.Column("account_id", Key, primary_key=True),
        sa.Column("period", Key, primary_key=True),
        sa.Column("used_tokens", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "reservations",
        sa.Column("reservation_id", Key, primary_key=True),
        sa.Column("tenant_id", Key, nullable=False),
        sa.Column("account_id", Key, nullable=False),
        sa.Column("period", Key, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
        sa.Column("completion_tokens", sa.BigInteger, nullable=False),
        sa.Column("start_time", Time, nullable=False),
        sa.Column("close_time", Time),
        sa.Index("reservations_open", "tenant_id", "account_id", "period", "state", "start_time"),
    )
