"""How the parts of auth fit together."""

from datetime import timedelta

from parley.auth.v1 import account_service_pb2, token_service_pb2, usage_service_pb2
from parley.auth.v1.account_service_pb2_grpc import add_AccountServiceServicer_to_server
from parley.auth.v1.token_service_pb2_grpc import add_TokenServiceServicer_to_server
from parley.auth.v1.usage_service_pb2_grpc import add_UsageServiceServicer_to_server
from services.auth.account_service import AccountService
from services.auth.accounts import Accounts
from services.auth.api_keys import ApiKeys
from services.auth.clock import Clock
from services.auth.config import Config
from services.auth.exchange import Exchange
from services.auth.keys import KeyRing, KeyTimes
from services.auth.ledger import Ledger
from services.auth.passwords import Passwords
from services.auth.peers import AUTH, Peers
from services.auth.sessions import Sessions
from services.auth.sign_in import SignIn
from services.auth.store import Store
from services.auth.token_service import OPEN_METHODS, TokenService
from services.auth.tokens import Mint
from services.auth.usage_service import UsageService
from services.chassis.door import Door
from services.chassis.server import Check, Server

CLOCK_SKEW = timedelta(minutes=5)
"""How far the clocks of the mesh may be apart before a key is forgotten too early."""


def key_ring(config: Config, store: Store, clock: Clock) -> KeyRing:
    times = KeyTimes(
        period=timedelta(days=config.signing_key_days),
        publish=timedelta(seconds=config.signing_key_publish_seconds),
        keep=timedelta(seconds=max(config.access_token_seconds, config.inner_token_seconds)) + CLOCK_SKEW,
    )
    return KeyRing(store.signing_keys, config.signing_secret.get_secret_value(), times, clock)


def auth_server(config: Config, store: Store, ring: KeyRing, passwords: Passwords, clock: Clock) -> Server:
    sign_in = SignIn(
        store.accounts,
        store.attempts,
        passwords,
        clock,
        limit=config.sign_in_attempts,
        window=timedelta(seconds=config.sign_in_window_seconds),
    )
    api_keys = ApiKeys(store.api_keys, clock, limit=config.api_keys_per_account)
    sessions = Sessions(
        store.sessions,
        store.accounts,
        clock,
        lifetime=timedelta(days=config.refresh_token_days),
        grace=timedelta(seconds=config.refresh_grace_seconds),
    )
    ledger = Ledger(
        store.ledger,
        clock,
        limit=config.monthly_tokens or None,
        lapse=timedelta(hours=config.reservation_hours),
    )
    mint = Mint(
        ring,
        clock,
        access=timedelta(seconds=config.access_token_seconds),
        inner=timedelta(seconds=config.inner_token_seconds),
    )
    accounts = Accounts(store.accounts, passwords, clock, registration_open=config.registration == "open")
    peers = Peers({name: secret.get_secret_value() for name, secret in config.service_secrets.items()})
    longest_chain = timedelta(seconds=config.inner_chain_seconds)
    exchange = Exchange(store.accounts, api_keys, sessions, ledger, ring, clock, longest_chain)
    account = AccountService(accounts, sign_in, api_keys, clock)
    token = TokenService(sign_in, sessions, exchange, peers, ring, mint)
    usage = UsageService(ledger)
    return Server(
        config,
        Door(AUTH, ring, OPEN_METHODS),
        {
            account_service_pb2.DESCRIPTOR.services_by_name["AccountService"]: lambda server: (
                add_AccountServiceServicer_to_server(account, server)
            ),
            token_service_pb2.DESCRIPTOR.services_by_name["TokenService"]: lambda server: (
                add_TokenServiceServicer_to_server(token, server)
            ),
            usage_service_pb2.DESCRIPTOR.services_by_name["UsageService"]: lambda server: (
                add_UsageServiceServicer_to_server(usage, server)
            ),
        },
        checks={"store": _check(store, ring)},
    )


def _check(store: Store, ring: KeyRing) -> Check:
    async def check() -> None:
        await store.probe.check()
        await ring.check()

    return check
