"""MetadataService: message in, store call, message out. Everything acts for the caller's account alone."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc

from parley.metadata.v1 import metadata_service_pb2 as pb
from parley.metadata.v1.metadata_service_pb2_grpc import MetadataServiceServicer
from services.chassis.errors import DomainError, Reason, not_found
from services.chassis.identity import caller
from services.chassis.ids import is_id, new_id
from services.chassis.paging import seal, unseal
from services.metadata import limits
from services.metadata.etag import next_etag
from services.metadata.store import Conversation, Owner, Position, Store
from services.metadata.wire import (
    to_change,
    to_filter,
    to_proto,
    to_record,
    to_settings_change,
    to_settings_proto,
    unwritten,
)

DEFAULT_PAGE = 20
_MILLISECOND = timedelta(milliseconds=1)

Context = grpc.aio.ServicerContext[Any, Any]


class MetadataService(MetadataServiceServicer):
    def __init__(self, store: Store, update_attempts: int) -> None:
        self._store, self._attempts = store, update_attempts

    async def CreateConversation(
        self, request: pb.CreateConversationRequest, context: Context
    ) -> pb.CreateConversationResponse:
        limits.check_create(request)
        conversation_id = request.conversation.conversation_id or new_id()
        row = to_record(request.conversation, _owner(), conversation_id, _now())
        if not await self._store.create(row):
            stored = await self._own(row.owner, conversation_id)
            if stored.created_as != row.created_as:
                raise DomainError(
                    Reason.CONVERSATION_CONFLICT,
                    "The conversation id is taken by a conversation that was created with other content.",
                    metadata={"conversation_id": conversation_id},
                )
            row = stored
        return pb.CreateConversationResponse(conversation=to_proto(row))

    async def GetConversation(self, request: pb.GetConversationRequest, context: Context) -> pb.GetConversationResponse:
        limits.check_id(request.conversation_id)
        return pb.GetConversationResponse(conversation=to_proto(await self._own(_owner(), request.conversation_id)))

    async def ListConversations(
        self, request: pb.ListConversationsRequest, context: Context
    ) -> pb.ListConversationsResponse:
        limits.check_list(request)
        owner, narrow = _owner(), to_filter(request.filter)
        scope = json.dumps(["conversations", owner.tenant_id, owner.account_id, narrow.archived, narrow.name_contains])
        after = unseal(scope, request.page_token)
        size = request.page_size or DEFAULT_PAGE
        rows = await self._store.list(owner, narrow, after=_position(after) if after else None, limit=size + 1)
        return pb.ListConversationsResponse(
            conversations=[to_proto(row) for row in rows[:size]],
            next_page_token=seal(scope, _place(rows[size - 1])) if len(rows) > size else "",
        )

    async def UpdateConversation(
        self, request: pb.UpdateConversationRequest, context: Context
    ) -> pb.UpdateConversationResponse:
        limits.check_update(request)
        owner, wanted = _owner(), request.conversation
        change = to_change(wanted, request.update_mask.paths)
        for _ in range(self._attempts):
            row = await self._own(owner, wanted.conversation_id)
            if wanted.etag and row.etag == next_etag(wanted.etag, change):
                return pb.UpdateConversationResponse(conversation=to_proto(row))  # this very update came before
            _require_etag(wanted.etag, row.etag)
            time, etag = _later(row.update_time), next_etag(row.etag, change)
            updated = replace(row, **change, update_time=time, etag=etag)
            if await self._store.replace(updated, row.etag):
                return pb.UpdateConversationResponse(conversation=to_proto(updated))
        raise _contended()

    async def DeleteConversation(
        self, request: pb.DeleteConversationRequest, context: Context
    ) -> pb.DeleteConversationResponse:
        limits.check_id(request.conversation_id)
        return pb.DeleteConversationResponse(deleted=await self._store.delete(_owner(), request.conversation_id))

    async def GetSettings(self, request: pb.GetSettingsRequest, context: Context) -> pb.GetSettingsResponse:
        owner = _owner()
        row = await self._store.settings(owner) or unwritten(owner)
        return pb.GetSettingsResponse(settings=to_settings_proto(row))

    async def UpdateSettings(self, request: pb.UpdateSettingsRequest, context: Context) -> pb.UpdateSettingsResponse:
        limits.check_update_settings(request)
        owner, wanted = _owner(), request.settings
        change = to_settings_change(wanted, request.update_mask.paths)
        for _ in range(self._attempts):
            stored = await self._store.settings(owner)
            row = stored or unwritten(owner)
            if wanted.etag and row.etag == next_etag(wanted.etag, change):
                return pb.UpdateSettingsResponse(settings=to_settings_proto(row))  # this very update came before
            _require_etag(wanted.etag, row.etag)
            time, etag = _later(row.update_time), next_etag(row.etag, change)
            updated = replace(row, **change, update_time=time, etag=etag)
            if await self._store.put_settings(updated, stored.etag if stored else None):
                return pb.UpdateSettingsResponse(settings=to_settings_proto(updated))
        raise _contended()

    async def DeleteSettings(self, request: pb.DeleteSettingsRequest, context: Context) -> pb.DeleteSettingsResponse:
        return pb.DeleteSettingsResponse(deleted=await self._store.delete_settings(_owner()))

    async def _own(self, owner: Owner, conversation_id: str) -> Conversation:
        row = await self._store.get(owner, conversation_id)
        if row is None:
            raise not_found("conversation")
        return row


def _owner() -> Owner:
    who = caller()
    return Owner(who.tenant_id, who.require_account())


def _require_etag(wanted: str, stored: str) -> None:
    if wanted not in ("", stored):
        raise DomainError(Reason.ETAG_MISMATCH, "It changed since it was read.")


def _contended() -> DomainError:
    return DomainError(Reason.UNAVAILABLE, "Too many write this at once.", retry_after=1)


def _now() -> datetime:
    """To the millisecond, as stores keep it."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _later(before: datetime) -> datetime:
    """The time of a change: now, and in any case later than the change before, whatever the clocks say."""
    return max(_now(), before + _MILLISECOND)


def _place(row: Conversation) -> str:
    return json.dumps([row.pinned, row.update_time.isoformat(), row.conversation_id])


def _position(place: str) -> Position:
    try:
        match json.loads(place):
            case [bool(pinned), str(update_time), str(conversation_id)] if is_id(conversation_id):
                return Position(pinned, datetime.fromisoformat(update_time).astimezone(UTC), conversation_id)
    except (ValueError, OverflowError):
        pass  # refused below: sealed, but not by us
    raise DomainError(Reason.INVALID_PAGE_TOKEN, "The page token does not belong to this list.")
