"""auth: what is real."""

import sys

from argon2 import PasswordHasher

from services.auth.assembly import auth_server, key_ring
from services.auth.clock import utc_now
from services.auth.config import Config
from services.auth.keys import SigningSecretError
from services.auth.passwords import Passwords
from services.auth.peers import AUTH
from services.auth.sql.database import Database
from services.auth.sql.store import sql_store
from services.chassis.config import load
from services.chassis.process import run
from services.chassis.server import serve


async def main() -> None:
    config = load(Config)
    hasher = PasswordHasher(config.password_iterations, config.password_memory_kib, config.password_lanes)
    passwords = Passwords(hasher, threads=config.password_threads, queue=config.password_queue)
    async with Database(config.store_url.get_secret_value(), config.store_connections) as database, passwords:
        store = sql_store(database)
        ring = key_ring(config, store, utc_now)
        try:
            await ring.current()
        except SigningSecretError as error:
            print(f"PARLEY_SIGNING_SECRET: {error}", file=sys.stderr)  # noqa: T201 - before there is a log
            sys.exit(2)
        await serve(AUTH, config, auth_server(config, store, ring, passwords, utc_now))


if __name__ == "__main__":
    run(main)
