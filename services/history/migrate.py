"""`python -m services.history.migrate`: brings the schema of PARLEY_STORE_URL up to date."""

from functools import partial

from services.chassis.command import store_url
from services.chassis.migration import migrate_store
from services.chassis.process import run
from services.history.stores import migrate


async def main() -> None:
    await migrate_store("history", partial(migrate, store_url()))


if __name__ == "__main__":
    run(main)
