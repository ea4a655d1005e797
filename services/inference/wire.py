"""Generations between their records and their protos."""

from google.protobuf.duration_pb2 import Duration

from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from services.chassis.errors import to_status
from services.inference.embedder import Embedding
from services.inference.engine import (
    ChatMessage,
    Delta,
    End,
    Event,
    Failed,
    FinishReason,
    Load,
    Logprobs,
    Model,
    Parameters,
    Priority,
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


def to_request(request: pb.GenerateRequest, defaults: Parameters, tenant: str) -> Request:
    """The tenant's request, checked before, with `defaults` where it leaves a parameter open."""
    chat = request.WhichOneof("prompt") == "chat"
    return Request(
        request.model,
        to_messages(request.chat) if chat else tuple(request.tokens.token_ids),
        to_parameters(request.parameters, defaults),
        tuple(request.emitted_token_ids),
        tenant,
        Priority.BATCH if request.priority == pb.PRIORITY_BATCH else Priority.INTERACTIVE,
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
        parameters.json_schema,
        parameters.top_logprobs if chosen("top_logprobs") else None,
    )


def to_response(event: Delta | End | Queued) -> pb.GenerateResponse:
    match event:
        case Delta():
            return pb.GenerateResponse(delta=_delta(event))
        case End():
            return pb.GenerateResponse(end=_end(event))
        case Queued():
            return pb.GenerateResponse(queued=_queued(event))


def to_event(generation_id: str, event: Event) -> pb.GenerationEvent:
    match event:
        case Delta():
            return pb.GenerationEvent(generation_id=generation_id, delta=_delta(event))
        case End():
            return pb.GenerationEvent(generation_id=generation_id, end=_end(event))
        case Queued():
            return pb.GenerationEvent(generation_id=generation_id, queued=_queued(event))
        case Failed(error):
            return pb.GenerationEvent(generation_id=generation_id, failure=to_status(error))


def _delta(delta: Delta) -> pb.GenerationDelta:
    return pb.GenerationDelta(
        token_offset=delta.token_offset,
        token_ids=delta.token_ids,
        text_offset=delta.text_offset,
        text=delta.text,
        logprobs=map(_logprobs, delta.logprobs),
    )


def _logprobs(logprobs: Logprobs) -> pb.TokenLogprobs:
    return pb.TokenLogprobs(
        drawn=pb.TokenLogprob(token_id=logprobs.token, logprob=logprobs.logprob),
        top=[pb.TokenLogprob(token_id=token, logprob=logprob) for token, logprob in logprobs.top],
    )


def _end(end: End) -> pb.GenerationEnd:
    usage = gen.TokenUsage(
        prompt_tokens=end.prompt_tokens,
        completion_tokens=end.completion_tokens,
        cached_prompt_tokens=end.cached_prompt_tokens,
    )
    return pb.GenerationEnd(finish_reason=_FINISH_REASONS[end.finish_reason], usage=usage)


def _queued(queued: Queued) -> pb.GenerationQueued:
    return pb.GenerationQueued(queue_position=queued.position, expected_wait=_duration(queued.expected_wait))


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(int(seconds * 1000))
    return duration


def to_model(model: Model) -> pb.Model:
    return pb.Model(
        model_id=model.model_id,
        display_name=model.display_name,
        context_length=model.context_length,
        template_tokens_per_message=model.template_tokens_per_message,
        ready=model.ready,
    )


def to_embedding(embedding: Embedding) -> pb.Embedding:
    return pb.Embedding(values=embedding.values, token_count=embedding.token_count, truncated=embedding.truncated)


def to_load(load: Load) -> pb.GetLoadResponse:
    return pb.GetLoadResponse(
        running=load.running,
        waiting=load.waiting,
        slots=load.slots,
        cached_tokens=load.cached_tokens,
        cached_tokens_limit=load.cached_tokens_limit,
        pending_prompt_tokens=load.pending_prompt_tokens,
        pending_prompt_tokens_limit=load.pending_prompt_tokens_limit,
        expected_wait=_duration(load.expected_wait),
        draining=load.draining,
    )
