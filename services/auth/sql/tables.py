"""The tables, for every SQL database."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
)


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC, also where the database keeps no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


Key = String().with_variant(String(collation="C"), "postgresql")
"""An id, or another text that is looked up or sorted by: byte by byte, whatever language the database speaks."""

metadata = MetaData()

accounts = Table(
    "accounts",
    metadata,
    Column("account_id", Key, primary_key=True),
    Column("tenant_id", Key, nullable=False),
    Column("email", Key, nullable=False, unique=True),
    Column("display_name", String, nullable=False),
    Column("roles", JSON, nullable=False),
    Column("close_time", UtcTime),
)

credentials = Table(
    "credentials",
    metadata,
    Column("account_id", Key, primary_key=True),
    Column("password_hash", String, nullable=False),
)

sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("subject", Key, primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("window_end", UtcTime, nullable=False, index=True),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("api_key_id", Key, primary_key=True),
    Column("tenant_id", Key, nullable=False),
    Column("account_id", Key, nullable=False),
    Column("display_name", String, nullable=False),
    Column("secret_prefix", String, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False, unique=True),
    Column("expire_time", UtcTime),
    Column("revoke_time", UtcTime),
    Index("api_keys_listed", "tenant_id", "account_id", "api_key_id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("session_id", Key, primary_key=True),
    Column("tenant_id", Key, nullable=False),
    Column("account_id", Key, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("refresh_time", UtcTime, nullable=False),
    Column("expire_time", UtcTime, nullable=False, index=True),
    Column("end_time", UtcTime),
    Index("sessions_owned", "tenant_id", "account_id"),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("key_id", Key, nullable=False, unique=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("sealed_private_key", String, nullable=False),
    Column("activate_time", UtcTime, nullable=False),
)

periods = Table(
    "periods",
    metadata,
    Column("tenant_id", Key, primary_key=True),
    Column("account_id", Key, primary_key=True),
    Column("period", Key, primary_key=True),
    Column("used_tokens", BigInteger, nullable=False),
)
"""What is settled in each period. Its row is also what reservations of one account wait for each other on."""

reservations = Table(
    "reservations",
    metadata,
    Column("reservation_id", Key, primary_key=True),
    Column("tenant_id", Key, nullable=False),
    Column("account_id", Key, nullable=False),
    Column("period", Key, nullable=False),
    Column("model", String, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("state", String, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("start_time", UtcTime, nullable=False),
    Column("close_time", UtcTime),
    Index("reservations_open", "tenant_id", "account_id", "period", "state", "start_time"),
)

schema_versions = Table(
    "schema_versions",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("works_from", Integer, nullable=False),
)
"""The steps that were applied, each with the lowest version that a release must know to work on what it made."""
