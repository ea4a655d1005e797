"""`python -m services.auth.restore < FILE` writes what a backup holds to PARLEY_STORE_URL; what is there stays."""

import sys

from services.auth.peers import AUTH
from services.auth.sql.archive import restore
from services.auth.stores import open_alone
from services.chassis.archive import read_archive
from services.chassis.command import say, usable_store
from services.chassis.process import run


async def main() -> None:
    async with usable_store(AUTH, open_alone) as database:
        read, written = await restore(database, read_archive(AUTH, sys.stdin.buffer))
    say(f"{AUTH}: {read} records, {written} were not there")


if __name__ == "__main__":
    run(main)
