"""Generations between their records and their protos."""

from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from services.chassis.errors import to_status
from services.inference.engine import (
    ChatMessage,
    Delta,
    End,
    Event,
    Failed,
    FinishReason,
    Load,
    Model,
    Parameters,
    Queued,
    Request,
    Role,
)

ROLES = {
    gen.ROLE_SYSTEM: Role.SYSTEM,
    gen.ROLE_USER: Role.USER,
    gen.ROLE_ASSISTANT: Role.ASSISTANT,
    gen.ROLE_TOOL: Role.TOOL,
}
_FINISH_REASONS = {
    FinishReason.STOP: gen.FINISH_REASON_STOP,
    FinishReason.LENGTH: gen.FINISH_REASON_LENGTH,
    FinishReason.CANCELLED: gen.FINISH_REASON_CANCELLED,
}


def to_messages(chat: pb.ChatPrompt) -> tuple[ChatMessage, ...]:
    return tuple(ChatMessage(ROLES[message.role], message.text) for message in chat.messages)


def to_request(request: pb.GenerateRequest, defaults: Parameters) -> Request:
    """The request, checked before, with `defaults` where it leaves a parameter open."""
    chat = request.WhichOneof("prompt") == "chat"
    return Request(
        request.model,
        to_messages(request.chat) if chat else tuple(request.tokens.token_ids),
        to_parameters(request.parameters, defaults),
        tuple(request.emitted_token_ids),
    )


def to_parameters(parameters: gen.GenerationParameters, defaults: Parameters) -> Parameters:
    def chosen(name: str) -> bool:
        return parameters.HasField(name)  # type: ignore[arg-type]

    return Parameters(
        parameters.temperature if chosen("temperature") else defaults.temperature,
        parameters.top_p if chosen("top_p") else defaults.top_p,
        parameters.max_output_tokens if chosen("max_output_tokens") else defaults.max_output_tokens,
        tuple(parameters.stop),
        parameters.seed if chosen("seed") else defaults.seed,
    )


def to_response(event: Delta | End | Queued) -> pb.GenerateResponse:
    match event:
        case Delta():
            return pb.GenerateResponse(delta=_delta(event))
        case End():
            return pb.GenerateResponse(end=_end(event))
        case Queued(position):
            return pb.GenerateResponse(queued=pb.GenerationQueued(queue_position=position))


def to_event(generation_id: str, event: Event) -> pb.GenerationEvent:
    match event:
        case Delta():
            return pb.GenerationEvent(generation_id=generation_id, delta=_delta(event))
        case End():
            return pb.GenerationEvent(generation_id=generation_id, end=_end(event))
        case Queued(position):
            queued = pb.GenerationQueued(queue_position=position)
            return pb.GenerationEvent(generation_id=generation_id, queued=queued)
        case Failed(error):
            return pb.GenerationEvent(generation_id=generation_id, failure=to_status(error))


def _delta(delta: Delta) -> pb.GenerationDelta:
    return pb.GenerationDelta(
        token_offset=delta.token_offset,
        token_ids=delta.token_ids,
        text_offset=delta.text_offset,
        text=delta.text,
    )


def _end(end: End) -> pb.GenerationEnd:
    usage = gen.TokenUsage(prompt_tokens=end.prompt_tokens, completion_tokens=end.completion_tokens)
    return pb.GenerationEnd(finish_reason=_FINISH_REASONS[end.finish_reason], usage=usage)


def to_model(model: Model) -> pb.Model:
    return pb.Model(
        model_id=model.model_id,
        display_name=model.display_name,
        context_length=model.context_length,
        template_tokens_per_message=model.template_tokens_per_message,
        ready=model.ready,
    )


def to_load(load: Load) -> pb.GetLoadResponse:
    return pb.GetLoadResponse(
        running=load.running,
        waiting=load.waiting,
        slots=load.slots,
        cached_tokens=load.cached_tokens,
        cached_tokens_limit=load.cached_tokens_limit,
    )
