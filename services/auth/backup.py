"""`python -m services.auth.backup > FILE` writes all that PARLEY_STORE_URL holds, as of one moment."""

import sys

from services.auth.peers import AUTH
from services.auth.sql.archive import records
from services.auth.stores import checked_database
from services.chassis.archive import write_archive
from services.chassis.config import StoreSettings, load
from services.chassis.process import run


async def main() -> None:
    url = load(StoreSettings).store_url.get_secret_value()
    async with checked_database(url) as database, database.snapshot() as snapshot:
        count = await write_archive(AUTH, records(snapshot), sys.stdout.buffer)
    print(f"{AUTH}: {count} records", file=sys.stderr)  # noqa: T201 - a command's answer


if __name__ == "__main__":
    run(main)
