"""Messages between their records and their protos."""

from datetime import UTC, datetime

from parley.history.v1 import history_service_pb2 as pb
from parley.inference.v1 import generation_pb2 as gen
from services.chassis.ids import time_of
from services.chassis.times import to_timestamp
from services.history.store import FinishReason, Message, Request, Result, Role, Status

ROLES = {
    gen.ROLE_SYSTEM: Role.SYSTEM,
    gen.ROLE_USER: Role.USER,
    gen.ROLE_ASSISTANT: Role.ASSISTANT,
    gen.ROLE_TOOL: Role.TOOL,
}
STATUSES = {
    pb.MESSAGE_STATUS_COMPLETED: Status.COMPLETED,
    pb.MESSAGE_STATUS_CANCELLED: Status.CANCELLED,
    pb.MESSAGE_STATUS_FAILED: Status.FAILED,
}
FINISH_REASONS = {
    gen.FINISH_REASON_STOP: FinishReason.STOP,
    gen.FINISH_REASON_LENGTH: FinishReason.LENGTH,
    gen.FINISH_REASON_CANCELLED: FinishReason.CANCELLED,
    gen.FINISH_REASON_ERROR: FinishReason.ERROR,
}
_ROLE_OUT = {record: wire for wire, record in ROLES.items()}
_STATUS_OUT = {record: wire for wire, record in STATUSES.items()}
_FINISH_OUT = {record: wire for wire, record in FINISH_REASONS.items()}


def to_record(message: pb.Message, tenant_id: str, account_id: str) -> Message:
    """The row of a message that was checked, without a result."""
    return Message(
        tenant_id=tenant_id,
        account_id=account_id,
        conversation_id=message.conversation_id,
        message_id=message.message_id,
        parent_id=message.parent_id if message.HasField("parent_id") else None,
        role=ROLES[message.role],
        text=message.text,
        request=_to_request(message.request) if message.HasField("request") else None,
    )


def to_result(result: pb.ReplyResult) -> Result:
    """The result of a reply that ends now."""
    return Result(
        status=STATUSES[result.status],
        text=result.text,
        finish_reason=FINISH_REASONS[result.finish_reason],
        prompt_tokens=result.usage.prompt_tokens,
        completion_tokens=result.usage.completion_tokens,
        failure_reason=result.failure_reason,
        complete_time=datetime.now(UTC),
    )


def to_proto(message: Message) -> pb.Message:
    return pb.Message(
        conversation_id=message.conversation_id,
        message_id=message.message_id,
        parent_id=message.parent_id,
        role=_ROLE_OUT[message.role],
        text=message.result.text if message.result else message.text,
        status=_status(message),
        request=_from_request(message.request) if message.request else None,
        result=_from_result(message.result) if message.result else None,
        create_time=to_timestamp(time_of(message.message_id)),
    )


def _status(message: Message) -> pb.MessageStatus.ValueType:
    if message.result:
        return _STATUS_OUT[message.result.status]
    return pb.MESSAGE_STATUS_IN_PROGRESS if message.request else pb.MESSAGE_STATUS_COMPLETED


def _to_request(request: pb.ReplyRequest) -> Request:
    parameters = request.parameters
    return Request(
        model=request.model,
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        max_output_tokens=parameters.max_output_tokens,
        stop=tuple(parameters.stop),
        seed=parameters.seed,
        system_prompt=request.system_prompt,
        context_start_id=request.context_start_id if request.HasField("context_start_id") else None,
    )


def _from_request(request: Request) -> pb.ReplyRequest:
    return pb.ReplyRequest(
        model=request.model,
        parameters=gen.GenerationParameters(
            temperature=request.temperature,
            top_p=request.top_p,
            max_output_tokens=request.max_output_tokens,
            stop=request.stop,
            seed=request.seed,
        ),
        system_prompt=request.system_prompt,
        context_start_id=request.context_start_id,
    )


def _from_result(result: Result) -> pb.ReplyResult:
    return pb.ReplyResult(
        status=_STATUS_OUT[result.status],
        text=result.text,
        finish_reason=_FINISH_OUT[result.finish_reason],
        usage=gen.TokenUsage(prompt_tokens=result.prompt_tokens, completion_tokens=result.completion_tokens),
        failure_reason=result.failure_reason,
        complete_time=to_timestamp(result.complete_time),
    )
