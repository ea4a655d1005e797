"""`python -m services.auth.backup > FILE` writes all that PARLEY_STORE_URL holds, as of one moment."""

import sys

from services.auth.peers import AUTH
from services.auth.sql.archive import records
from services.auth.stores import open_alone
from services.chassis.archive import write_archive
from services.chassis.command import say, usable_store
from services.chassis.process import run


async def main() -> None:
    async with usable_store(AUTH, open_alone) as database, database.snapshot() as snapshot:
        count = await write_archive(AUTH, records(snapshot), sys.stdout.buffer)
    say(f"{AUTH}: {count} records")


if __name__ == "__main__":
    run(main)
