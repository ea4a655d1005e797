"""metadata: what is real."""

from parley.metadata.v1 import metadata_service_pb2
from parley.metadata.v1.metadata_service_pb2_grpc import add_MetadataServiceServicer_to_server
from services.chassis.channel import open_channel
from services.chassis.config import load
from services.chassis.door import Door
from services.chassis.process import run
from services.chassis.server import Server, serve
from services.chassis.tokens import AuthKeys
from services.metadata.config import Config
from services.metadata.service import MetadataService
from services.metadata.stores import open_store

NAME = "metadata"


async def main() -> None:
    config = load(Config)
    url = config.store_url.get_secret_value()
    async with open_channel(config.auth_address) as auth, open_store(url) as store:
        service = MetadataService(store, config.update_attempts)
        descriptor = metadata_service_pb2.DESCRIPTOR.services_by_name["MetadataService"]
        server = Server(
            config,
            Door(NAME, AuthKeys(auth)),
            {descriptor: lambda server: add_MetadataServiceServicer_to_server(service, server)},
            checks={"store": store.check},
        )
        await serve(NAME, config, server)


if __name__ == "__main__":
    run(main)
