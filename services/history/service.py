"""HistoryService: message in, store call, message out. Everything acts for the caller's account alone."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc

from parley.history.v1 import history_service_pb2 as pb
from parley.history.v1.history_service_pb2_grpc import HistoryServiceServicer
from services.chassis.checks import Checks
from services.chassis.errors import DomainError, Reason, not_found
from services.chassis.identity import Caller, caller
from services.chassis.paging import seal, unseal
from services.history.store import Message, Store
from services.history.tree import branch, everything
from services.history.wire import FINISH_REASONS, ROLES, STATUSES, to_proto, to_record, to_result

MAX_TEXT_BYTES = 1024 * 1024
MAX_PAGE = 200
DEFAULT_PAGE = 50
MAX_BATCH = 10
PAGE_BYTES = 3 * 1024 * 1024
"""A page ends early, after at least one message, where its texts grow past this."""

Context = grpc.aio.ServicerContext[Any, Any]


class HistoryService(HistoryServiceServicer):
    def __init__(self, store: Store) -> None:
        self._store = store

    async def CreateMessage(self, request: pb.CreateMessageRequest, context: Context) -> pb.CreateMessageResponse:
        with Checks() as check:
            _check_message(check, "message", request.message)
        return pb.CreateMessageResponse(message=await self._create(request.message))

    async def BatchCreateMessages(
        self, request: pb.BatchCreateMessagesRequest, context: Context
    ) -> pb.BatchCreateMessagesResponse:
        with Checks() as check:
            check.that("messages", 1 <= len(request.messages) <= MAX_BATCH, f"must be 1 to {MAX_BATCH} messages")
            for place, message in enumerate(request.messages):
                _check_message(check, f"messages[{place}]", message)
                same = message.conversation_id == request.messages[0].conversation_id
                check.that(f"messages[{place}].conversation_id", same, "must be the same in all messages")
        return pb.BatchCreateMessagesResponse(messages=[await self._create(message) for message in request.messages])

    async def CompleteMessage(self, request: pb.CompleteMessageRequest, context: Context) -> pb.CompleteMessageResponse:
        _check_result(request)
        who = caller()
        row = await self._own(who, request.conversation_id, request.message_id)
        if row.request is None:
            raise not_found("reply")
        if row.result is None:
            await self._store.complete(row.conversation_id, row.message_id, to_result(request.result))
            row = await self._own(who, row.conversation_id, row.message_id)
        return pb.CompleteMessageResponse(message=to_proto(row))

    async def GetMessage(self, request: pb.GetMessageRequest, context: Context) -> pb.GetMessageResponse:
        with Checks() as check:
            check.id("conversation_id", request.conversation_id)
            check.id("message_id", request.message_id)
        row = await self._own(caller(), request.conversation_id, request.message_id)
        siblings = await self._siblings([row]) if request.with_siblings else {}
        sibling_ids = siblings[row.message_id].message_ids if siblings else ()
        return pb.GetMessageResponse(message=to_proto(row), sibling_ids=sibling_ids)

    async def BatchGetMessages(
        self, request: pb.BatchGetMessagesRequest, context: Context
    ) -> pb.BatchGetMessagesResponse:
        with Checks() as check:
            check.id("conversation_id", request.conversation_id)
            check.that("message_ids", 1 <= len(request.message_ids) <= MAX_BATCH, f"must be 1 to {MAX_BATCH} ids")
            for place, message_id in enumerate(request.message_ids):
                check.id(f"message_ids[{place}]", message_id)
        who = caller()
        rows = await asyncio.gather(*(self._store.get(request.conversation_id, id_) for id_ in request.message_ids))
        return pb.BatchGetMessagesResponse(messages=[to_proto(row) for row in rows if row and _is_owner(who, row)])

    async def ListMessages(self, request: pb.ListMessagesRequest, context: Context) -> pb.ListMessagesResponse:
        with Checks() as check:
            check.id("conversation_id", request.conversation_id)
            check.page_size("page_size", request.page_size, limit=MAX_PAGE)
            if request.HasField("leaf_id"):
                check.id("leaf_id", request.leaf_id)
        who = caller()
        scope = f"messages/{who.tenant_id}/{who.require_account()}/{request.conversation_id}/{request.leaf_id}"
        start = unseal(scope, request.page_token)
        if request.HasField("leaf_id"):
            await self._own(who, request.conversation_id, request.leaf_id)
            rows = branch(self._store, request.conversation_id, start or request.leaf_id)
        else:
            rows = everything(self._store, request.conversation_id, start)
        page, following = await _page(rows, who, request.page_size or DEFAULT_PAGE)
        return pb.ListMessagesResponse(
            messages=[to_proto(row) for row in page],
            next_page_token=seal(scope, following) if following else "",
            siblings=await self._siblings(page) if request.with_siblings else None,
        )

    async def DeleteMessages(self, request: pb.DeleteMessagesRequest, context: Context) -> pb.DeleteMessagesResponse:
        with Checks() as check:
            check.id("conversation_id", request.conversation_id)
        who = caller()
        who.require_account()
        first = await self._store.scan(request.conversation_id, upto=None, limit=1)
        if not first or not _is_owner(who, first[0]):
            return pb.DeleteMessagesResponse()
        return pb.DeleteMessagesResponse(deleted=await self._store.delete(request.conversation_id))

    async def _create(self, message: pb.Message) -> pb.Message:
        who = caller()
        row = to_record(message, who.tenant_id, who.require_account())
        stored = await self._stored(row)
        if stored is None:
            await self._store.put(row)
            stored = await self._stored(row)  # another may have won the id
        if stored is None:
            raise not_found("conversation")  # it was deleted meanwhile
        return to_proto(stored)

    async def _stored(self, row: Message) -> Message | None:
        """The row as it is stored; raises if its id is taken by another."""
        stored = await self._store.get(row.conversation_id, row.message_id)
        if stored is None:
            return None
        if not _is_owner(caller(), stored):
            raise not_found("conversation")
        if replace(stored, result=None) != row:
            raise DomainError(
                Reason.MESSAGE_CONFLICT,
                "The message id is taken by a message with other content.",
                metadata={"message_id": row.message_id},
            )
        return stored

    async def _own(self, who: Caller, conversation_id: str, message_id: str) -> Message:
        row = await self._store.get(conversation_id, message_id)
        if row is None or not _is_owner(who, row):
            raise not_found("message")
        return row

    async def _siblings(self, page: list[Message]) -> dict[str, pb.SiblingIds]:
        if not page:
            return {}
        children = await self._store.children(page[0].conversation_id, {row.parent_id for row in page})
        return {row.message_id: pb.SiblingIds(message_ids=children.get(row.parent_id, ())) for row in page}


def _is_owner(who: Caller, row: Message) -> bool:
    return (row.tenant_id, row.account_id) == (who.tenant_id, who.require_account())


async def _page(rows: AsyncIterator[Message], who: Caller, size: int) -> tuple[list[Message], str]:
    """Up to `size` of the caller's rows, and the id that the next page starts at (empty: there is none)."""
    page: list[Message] = []
    taken = 0
    async for row in rows:
        if not _is_owner(who, row):
            continue
        if len(page) == size or (page and taken > PAGE_BYTES):
            return page, row.message_id
        page.append(row)
        taken += len(row.text.encode()) + (2 * len(row.result.text.encode()) if row.result else 0)
    return page, ""


def _check_message(check: Checks, name: str, message: pb.Message) -> None:
    check.id(f"{name}.conversation_id", message.conversation_id)
    check.id(f"{name}.message_id", message.message_id)
    if message.HasField("parent_id"):
        check.id(f"{name}.parent_id", message.parent_id)
        check.that(f"{name}.parent_id", message.parent_id != message.message_id, "must be another message")
    check.that(f"{name}.role", message.role in ROLES, "must be a role")
    check.text(f"{name}.text", message.text, max_bytes=MAX_TEXT_BYTES)
    check.that(f"{name}.result", not message.HasField("result"), "must not be set")
    if message.HasField("request"):
        _check_request(check, f"{name}.request", message.request)
        check.that(f"{name}.text", not message.text, "must be empty in a reply")


def _check_request(check: Checks, name: str, request: pb.ReplyRequest) -> None:
    check.text(f"{name}.model", request.model, min_bytes=1, max_bytes=256)
    check.text(f"{name}.system_prompt", request.system_prompt, max_bytes=MAX_TEXT_BYTES)
    if request.HasField("context_start_id"):
        check.id(f"{name}.context_start_id", request.context_start_id)
    for parameter in ("temperature", "top_p", "max_output_tokens", "seed"):
        check.that(f"{name}.parameters.{parameter}", request.parameters.HasField(parameter), "must be set")


def _check_result(request: pb.CompleteMessageRequest) -> None:
    result = request.result
    with Checks() as check:
        check.id("conversation_id", request.conversation_id)
        check.id("message_id", request.message_id)
        check.that("result.status", result.status in STATUSES, "must be COMPLETED, CANCELLED or FAILED")
        check.that("result.finish_reason", result.finish_reason in FINISH_REASONS, "must be set")
        check.text("result.text", result.text, max_bytes=MAX_TEXT_BYTES)
