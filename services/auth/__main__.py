"""auth: what is real."""

from argon2 import PasswordHasher

from services.auth.assembly import auth_server, key_ring
from services.auth.clock import utc_now
from services.auth.config import Config
from services.auth.passwords import Passwords
from services.auth.peers import AUTH
from services.auth.stores import open_store
from services.chassis.config import load
from services.chassis.process import run
from services.chassis.server import serve


async def main() -> None:
    config = load(Config)
    hasher = PasswordHasher(config.password_iterations, config.password_memory_kib, config.password_lanes)
    passwords = Passwords(hasher, threads=config.password_threads, queue=config.password_queue)
    async with open_store(config.store_url.get_secret_value(), config.store_connections) as store, passwords:
        ring = key_ring(config, store, utc_now)
        await serve(AUTH, config, auth_server(config, store, ring, passwords, utc_now))


if __name__ == "__main__":
    run(main)
