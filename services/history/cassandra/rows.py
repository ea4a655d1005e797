"""Messages between their records and the cells of the table: one for what is asked or said, one for the result.

The cells are frozen user-defined types, read and bound by the names of their fields.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from services.history.store import FinishReason, Message, Request, Result, Role, Status

ROOT = ""
"""The parent of roots, so that they can be looked up as every other."""

ROW_BYTES = 256
"""About what a row takes besides its texts."""

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class RequestCell:
    model: str
    temperature: float
    top_p: float
    max_output_tokens: int
    stop: tuple[str, ...]
    seed: int
    system_prompt: str
    context_start_id: str | None


@dataclass(frozen=True, slots=True)
class BodyCell:
    tenant_id: str
    account_id: str
    parent_id: str
    role: str
    text: str
    request: RequestCell | None


@dataclass(frozen=True, slots=True)
class ResultCell:
    status: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    failure_reason: str
    complete_micros: int


def body_cell(message: Message) -> BodyCell:
    return BodyCell(
        tenant_id=message.tenant_id,
        account_id=message.account_id,
        parent_id=message.parent_id or ROOT,
        role=message.role,
        text=message.text,
        request=_request_cell(message.request) if message.request else None,
    )


def _request_cell(request: Request) -> RequestCell:
    return RequestCell(
        model=request.model,
        temperature=request.temperature,
        top_p=request.top_p,
        max_output_tokens=request.max_output_tokens,
        stop=request.stop,
        seed=request.seed,
        system_prompt=request.system_prompt,
        context_start_id=request.context_start_id,
    )


def result_cell(result: Result) -> ResultCell:
    return ResultCell(
        status=result.status,
        text=result.text,
        finish_reason=result.finish_reason,
        prompt_tokens=result.prompt_tokens,
        completion_tokens=result.completion_tokens,
        failure_reason=result.failure_reason,
        complete_micros=(result.complete_time - _EPOCH) // timedelta(microseconds=1),
    )


def body_size(message: Message) -> int:
    """Bytes, about."""
    prompt = message.request.system_prompt if message.request else ""
    return len(message.text.encode()) + len(prompt.encode()) + ROW_BYTES


def result_size(result: Result) -> int:
    """Bytes, about."""
    return len(result.text.encode()) + ROW_BYTES


def to_message(conversation_id: str, message_id: str, body: Any, result: Any) -> Message:
    """A row as it was read."""
    return Message(
        tenant_id=body.tenant_id,
        account_id=body.account_id,
        conversation_id=conversation_id,
        message_id=message_id,
        parent_id=body.parent_id or None,
        role=Role(body.role),
        text=body.text,
        request=_to_request(body.request) if body.request else None,
        result=_to_result(result) if result else None,
    )


def _to_request(cell: Any) -> Request:
    return Request(
        model=cell.model,
        temperature=cell.temperature,
        top_p=cell.top_p,
        max_output_tokens=cell.max_output_tokens,
        stop=tuple(cell.stop or ()),  # an empty list comes back as none
        seed=cell.seed,
        system_prompt=cell.system_prompt,
        context_start_id=cell.context_start_id,
    )


def _to_result(cell: Any) -> Result:
    return Result(
        status=Status(cell.status),
        text=cell.text,
        finish_reason=FinishReason(cell.finish_reason),
        prompt_tokens=cell.prompt_tokens,
        completion_tokens=cell.completion_tokens,
        failure_reason=cell.failure_reason,
        complete_time=_EPOCH + timedelta(microseconds=cell.complete_micros),
    )
