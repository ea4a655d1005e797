"""conversation: what is real."""

from contextlib import AsyncExitStack

from parley.conversation.v1 import account_data_service_pb2, conversation_service_pb2
from parley.conversation.v1.account_data_service_pb2_grpc import add_AccountDataServiceServicer_to_server
from parley.conversation.v1.conversation_service_pb2_grpc import add_ConversationServiceServicer_to_server
from services.chassis.channel import Peer, open_channel
from services.chassis.config import load
from services.chassis.door import Door
from services.chassis.process import run
from services.chassis.server import Server, serve
from services.chassis.tokens import AuthKeys, Tokens
from services.conversation.account_data_service import AccountDataService
from services.conversation.config import Config
from services.conversation.feed import Feeds
from services.conversation.hub import Hub
from services.conversation.journal import open_journal
from services.conversation.leaving import Leaving
from services.conversation.peers import Accounts, History, Ledger, Metadata, Peers
from services.conversation.removal import Removal
from services.conversation.routing import Fleet, Router
from services.conversation.routing.endpoints import endpoints_of
from services.conversation.routing.replica import Replica
from services.conversation.runner import Runner
from services.conversation.sending import Sender
from services.conversation.service import ConversationService
from services.conversation.turn import Story
from services.conversation.writer import Writer

NAME = "conversation"
AUTH_SAFE_TO_REPEAT = (
    "parley.auth.v1.UsageService",
    "parley.auth.v1.AccountService/CloseAccount",
    "parley.auth.v1.AccountService/DeleteAccount",
)


async def main() -> None:
    config = load(Config)
    async with AsyncExitStack() as opened:
        auth = await opened.enter_async_context(open_channel(config.auth_address, AUTH_SAFE_TO_REPEAT))
        tokens = Tokens(NAME, config.service_secret.get_secret_value(), auth)
        history = open_channel(config.history_address, ["parley.history.v1.HistoryService"])
        metadata = open_channel(config.metadata_address, ["parley.metadata.v1.MetadataService"])
        peers = Peers(
            History(Peer("history", await opened.enter_async_context(history), tokens)),
            Metadata(Peer("metadata", await opened.enter_async_context(metadata), tokens)),
            Ledger(Peer("auth", auth, tokens)),
        )
        journal = await opened.enter_async_context(open_journal(config))
        sources = [endpoints_of(address) for address in config.inference_addresses]
        fleet = Fleet(sources, lambda address: Replica(address, tokens))
        router = Router(fleet)
        writer = Writer(journal, config)
        feeds = Feeds()
        hub = Hub(journal, peers.history, writer, feeds, config)
        runner = Runner(journal, writer, Story(journal, writer, router, peers, hub, config), config)
        removal = Removal(peers, journal, hub)
        sender = Sender(peers, router, journal, config)
        service = ConversationService(sender, removal, peers, journal, hub, feeds, config)
        data = AccountDataService(Leaving(tokens, peers, Accounts(Peer("auth", auth, tokens)), removal))
        server = Server(
            config,
            Door(NAME, AuthKeys(auth)),
            {
                conversation_service_pb2.DESCRIPTOR.services_by_name["ConversationService"]: lambda server: (
                    add_ConversationServiceServicer_to_server(service, server)
                ),
                account_data_service_pb2.DESCRIPTOR.services_by_name["AccountDataService"]: lambda server: (
                    add_AccountDataServiceServicer_to_server(data, server)
                ),
            },
            checks={"journal": journal.check, "inference": router.check},
        )

        def hand_over() -> None:
            runner.leave()
            service.leave()

        await serve(NAME, config, server, fleet.run(), writer.run(), hub.run(), runner.run(), hand_over=hand_over)


if __name__ == "__main__":
    run(main)
