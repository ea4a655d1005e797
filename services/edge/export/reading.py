"""Reads what an account owns, page by page, for as long as that takes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

from google.protobuf.message import Message as Proto

from parley.auth.v1 import account_service_pb2, usage_service_pb2
from parley.history.v1 import history_service_pb2 as history_pb
from parley.metadata.v1 import metadata_service_pb2 as metadata_pb
from services.chassis.channel import Peer, UnaryMethod
from services.chassis.errors import AWAY, DomainError, Reason
from services.chassis.identity import acting_for
from services.edge.mesh import Mesh
from services.edge.session import Credential, Sessions

CALL_SECONDS = 10.0
PAGE = 100
"""The most that every list gives at once."""
MESSAGES_PAGE = 200
PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Between attempts while a service is away: as long as one takes to be started again."""

Request = TypeVar("Request", bound=Proto)
Response = TypeVar("Response", bound=Proto)


class Reading:
    """Every method raises DomainError: UNAUTHENTICATED once the credential does not work any more."""

    def __init__(self, mesh: Mesh, sessions: Sessions, credential: Credential) -> None:
        self._mesh, self._sessions, self._credential = mesh, sessions, credential

    async def account(self) -> account_service_pb2.Account:
        request = account_service_pb2.GetAccountRequest()
        return (await self._call(self._mesh.auth, self._mesh.accounts.GetAccount, request)).account

    async def usage(self) -> usage_service_pb2.Usage:
        request = usage_service_pb2.GetUsageRequest()
        return (await self._call(self._mesh.auth, self._mesh.usage.GetUsage, request)).usage

    async def settings(self) -> metadata_pb.Settings:
        request = metadata_pb.GetSettingsRequest()
        return (await self._call(self._mesh.metadata, self._mesh.conversations.GetSettings, request)).settings

    async def api_keys(self) -> list[account_service_pb2.ApiKey]:
        """All: an account has a few dozen at the most."""
        found: list[account_service_pb2.ApiKey] = []
        request = account_service_pb2.ListApiKeysRequest(page_size=PAGE)
        while True:
            page = await self._call(self._mesh.auth, self._mesh.accounts.ListApiKeys, request)
            found += page.api_keys
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return found

    async def conversations(self) -> AsyncIterator[Sequence[metadata_pb.Conversation]]:
        """Pages of them; one that changes meanwhile may be on two, or on none."""
        request = metadata_pb.ListConversationsRequest(page_size=PAGE)
        while True:
            page = await self._call(self._mesh.metadata, self._mesh.conversations.ListConversations, request)
            yield page.conversations
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return

    async def conversation(self, conversation_id: str) -> metadata_pb.Conversation | None:
        """None: it was deleted."""
        request = metadata_pb.GetConversationRequest(conversation_id=conversation_id)
        try:
            found = await self._call(self._mesh.metadata, self._mesh.conversations.GetConversation, request)
        except DomainError as error:
            if error.reason is Reason.NOT_FOUND:
                return None
            raise
        return found.conversation

    async def messages(self, conversation_id: str, leaf_id: str | None, token: str) -> history_pb.ListMessagesResponse:
        """A page, newest first; none where there is no such leaf."""
        request = history_pb.ListMessagesRequest(
            conversation_id=conversation_id, leaf_id=leaf_id, page_size=MESSAGES_PAGE, page_token=token
        )
        try:
            return await self._call(self._mesh.history, self._mesh.messages.ListMessages, request)
        except DomainError as error:
            if error.reason is Reason.NOT_FOUND:
                return history_pb.ListMessagesResponse()
            raise

    async def _call(self, peer: Peer, method: UnaryMethod[Request, Response], request: Request) -> Response:
        for pause in PAUSES:
            try:
                return await self._attempt(peer, method, request)
            except DomainError as error:
                if error.reason not in AWAY:
                    raise
            await asyncio.sleep(pause)
        return await self._attempt(peer, method, request)

    async def _attempt(self, peer: Peer, method: UnaryMethod[Request, Response], request: Request) -> Response:
        # Proved anew by the credential when the last proof runs out: an export outlives many tokens.
        with acting_for(await self._sessions.caller(self._credential)):
            return await peer.call(method, request, seconds=CALL_SECONDS)
