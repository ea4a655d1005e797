"""edge: what is real."""

import asyncio
import logging
import signal
from contextlib import AsyncExitStack

from services.chassis.config import describe, load
from services.chassis.process import run
from services.chassis.telemetry import log, start_logging
from services.edge.app import inner_app, open_house, public_app
from services.edge.config import Config
from services.edge.context import House
from services.edge.listener import Listener, bind
from services.edge.mesh import NAME
from services.edge.shortage import Shortage

logger = logging.getLogger(__name__)


async def main() -> None:
    config = load(Config)
    start_logging(NAME, config.log_level)
    # uvicorn's lines hold addresses with their query, and tracebacks that may quote what people wrote.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    asyncio.get_running_loop().set_exception_handler(Shortage())
    async with open_house(config) as house, asyncio.TaskGroup() as group:
        watching = group.create_task(house.watches.run())
        await _serve(house)
        watching.cancel()
    log(logger, logging.INFO, "stopped")


async def _serve(house: House) -> None:
    config, stop = house.config, asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        if config.metrics_listen:
            host, _, port = config.metrics_listen.rpartition(":")
            await stack.enter_async_context(Listener(inner_app(house), bind(host, int(port)), config))
        door = bind(config.host, config.port, reuse_port=config.reuse_port)
        async with Listener(public_app(house), door, config) as public:
            log(logger, logging.INFO, "listening", port=public.port, config=describe(config))
            await stop.wait()
            log(logger, logging.INFO, "draining")
            house.health.drain()
            await asyncio.sleep(config.drain_seconds)
            house.leaving.set()


if __name__ == "__main__":
    run(main)
