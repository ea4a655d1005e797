"""`python -m services`: the whole mesh on this machine."""

import asyncio
import sys

from services.chassis.config import load
from services.launcher import report
from services.launcher.arguments import Address, Run, Status, Token, parse
from services.launcher.config import LauncherSettings
from services.launcher.refusal import RefusalError
from services.launcher.run import run


async def main(arguments: list[str]) -> int:
    command, settings = parse(arguments), load(LauncherSettings)
    match command:
        case Run():
            return await run(settings, command)
        case Status():
            return await report.print_status(settings.data)
        case Address(service):
            return report.print_address(settings.data, service)
        case Token(audience):
            return await report.print_token(settings.data, audience)


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(sys.argv[1:])))
    except RefusalError as refusal:
        sys.stderr.write(f"{refusal}\n")
        sys.exit(2)
