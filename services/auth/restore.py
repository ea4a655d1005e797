"""`python -m services.auth.restore < FILE` writes what a backup holds to PARLEY_STORE_URL; what is there stays."""

import sys

from services.auth.peers import AUTH
from services.auth.sql.archive import restore
from services.auth.stores import checked_database
from services.chassis.archive import read_archive
from services.chassis.config import StoreSettings, load
from services.chassis.process import run


async def main() -> None:
    url = load(StoreSettings).store_url.get_secret_value()
    async with checked_database(url) as database:
        read, written = await restore(database, read_archive(AUTH, sys.stdin.buffer))
    print(f"{AUTH}: {read} records, {written} were not there", file=sys.stderr)  # noqa: T201 - a command's answer


if __name__ == "__main__":
    run(main)
