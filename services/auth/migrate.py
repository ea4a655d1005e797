"""`python -m services.auth.migrate` brings the schema of PARLEY_STORE_URL up to date."""

from services.auth.peers import AUTH
from services.auth.stores import open_database
from services.chassis.command import store_url
from services.chassis.migration import migrate_store
from services.chassis.process import run


async def main() -> None:
    async with open_database(store_url(), connections=1) as database:
        await migrate_store(AUTH, database.migrate)


if __name__ == "__main__":
    run(main)
