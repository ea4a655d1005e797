"""history: what is real."""

from parley.history.v1 import history_service_pb2
from parley.history.v1.history_service_pb2_grpc import add_HistoryServiceServicer_to_server
from services.chassis.channel import open_channel
from services.chassis.config import load
from services.chassis.door import Door
from services.chassis.process import run
from services.chassis.server import Server, serve
from services.chassis.tokens import AuthKeys
from services.history.config import Config
from services.history.service import HistoryService
from services.history.stores import open_store

NAME = "history"


async def main() -> None:
    config = load(Config)
    url = config.store_url.get_secret_value()
    async with open_channel(config.auth_address) as auth, open_store(url) as store:
        service = HistoryService(store)
        descriptor = history_service_pb2.DESCRIPTOR.services_by_name["HistoryService"]
        server = Server(
            config,
            Door(NAME, AuthKeys(auth)),
            {descriptor: lambda server: add_HistoryServiceServicer_to_server(service, server)},
            checks={"store": store.check},
        )
        await serve(NAME, config, server)


if __name__ == "__main__":
    run(main)
