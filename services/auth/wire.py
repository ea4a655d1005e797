"""Auth's records as protos."""

from parley.auth.v1 import account_service_pb2, token_service_pb2, usage_service_pb2
from services.auth.ledger import Usage
from services.auth.records import Account, ApiKey, SigningKey
from services.chassis.ids import time_of
from services.chassis.times import to_timestamp


def to_account(account: Account) -> account_service_pb2.Account:
    return account_service_pb2.Account(
        account_id=account.owner.account_id,
        tenant_id=account.owner.tenant_id,
        email=account.email,
        display_name=account.display_name,
        roles=account.roles,
        create_time=to_timestamp(time_of(account.owner.account_id)),
        close_time=to_timestamp(account.close_time) if account.close_time else None,
    )


def to_api_key(key: ApiKey) -> account_service_pb2.ApiKey:
    return account_service_pb2.ApiKey(
        api_key_id=key.api_key_id,
        display_name=key.display_name,
        secret_prefix=key.secret_prefix,
        create_time=to_timestamp(time_of(key.api_key_id)),
        expire_time=to_timestamp(key.expire_time) if key.expire_time else None,
    )


def to_signing_key(key: SigningKey) -> token_service_pb2.SigningKey:
    return token_service_pb2.SigningKey(key_id=key.key_id, public_key=key.public_key)


def to_usage(usage: Usage) -> usage_service_pb2.Usage:
    return usage_service_pb2.Usage(
        used_tokens=usage.balance.used_tokens,
        reserved_tokens=usage.balance.reserved_tokens,
        limit_tokens=usage.limit,
        reset_time=to_timestamp(usage.reset_time),
    )
