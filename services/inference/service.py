"""InferenceService: message in, engine call, message out."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from parley.inference.v1.inference_service_pb2_grpc import InferenceServiceServicer
from services.chassis.checks import Checks
from services.chassis.identity import caller
from services.inference.engine import Engine, Parameters, Request
from services.inference.outbox import follow
from services.inference.stream import GenerationStream
from services.inference.wire import ROLES, to_load, to_messages, to_model, to_request, to_response

MAX_TEXT_BYTES = 1024 * 1024
MAX_NAME_BYTES = 256
MAX_STOPS = 4
MAX_STOP_CHARACTERS = 64

Context = grpc.aio.ServicerContext[Any, Any]


class InferenceService(InferenceServiceServicer):
    def __init__(self, engine: Engine, defaults: Parameters, generations_per_stream: int) -> None:
        self._engine, self._defaults, self._generations_per_stream = engine, defaults, generations_per_stream

    async def Generate(self, request: pb.GenerateRequest, context: Context) -> AsyncIterator[pb.GenerateResponse]:
        caller().require_account()
        with Checks() as check:
            _check_generate(check, request)
        async with aclosing(follow(self._engine, to_request(request, self._defaults))) as events:
            async for event in events:
                yield to_response(event)

    async def GenerateMany(
        self, requests: AsyncIterator[pb.GenerateManyRequest], context: Context
    ) -> AsyncIterator[pb.GenerateManyResponse]:
        caller().require_service("conversation")
        stream = GenerationStream(self._engine, self._read_start, self._generations_per_stream)
        async with aclosing(stream.responses(requests)) as responses:
            async for response in responses:
                yield response

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        return pb.ListModelsResponse(models=map(to_model, self._engine.models()))

    async def CountTokens(self, request: pb.CountTokensRequest, context: Context) -> pb.CountTokensResponse:
        with Checks() as check:
            check.text("model", request.model, min_bytes=1, max_bytes=MAX_NAME_BYTES)
            _check_chat(check, request.chat)
        count = await self._engine.count(request.model, to_messages(request.chat))
        return pb.CountTokensResponse(
            token_count=count.total, message_token_counts=count.messages, context_length=count.context_length
        )

    async def GetLoad(self, request: pb.GetLoadRequest, context: Context) -> pb.GetLoadResponse:
        return to_load(self._engine.load())

    def _read_start(self, start: pb.GenerateRequest) -> Request:
        with Checks() as check:
            _check_generate(check, start)
            check.text("owner.tenant_id", start.owner.tenant_id, min_bytes=1, max_bytes=MAX_NAME_BYTES)
            check.text("owner.account_id", start.owner.account_id, min_bytes=1, max_bytes=MAX_NAME_BYTES)
        return to_request(start, self._defaults)


def _check_generate(check: Checks, request: pb.GenerateRequest) -> None:
    check.text("generation_id", request.generation_id, min_bytes=1, max_bytes=MAX_NAME_BYTES)
    check.text("model", request.model, min_bytes=1, max_bytes=MAX_NAME_BYTES)
    match request.WhichOneof("prompt"):
        case "chat":
            _check_chat(check, request.chat)
        case "tokens":
            check.that("tokens.token_ids", len(request.tokens.token_ids) > 0, "must not be empty")
        case None:
            check.fail("prompt", "must be set")
    _check_parameters(check, request.parameters)


def _check_chat(check: Checks, chat: pb.ChatPrompt) -> None:
    check.that("chat.messages", len(chat.messages) > 0, "must not be empty")
    for place, message in enumerate(chat.messages):
        check.that(f"chat.messages[{place}].role", message.role in ROLES, "must be a role")
        check.text(f"chat.messages[{place}].text", message.text, max_bytes=MAX_TEXT_BYTES)


def _check_parameters(check: Checks, parameters: gen.GenerationParameters) -> None:
    if parameters.HasField("temperature"):
        check.range("parameters.temperature", parameters.temperature, 0, 2)
    if parameters.HasField("top_p"):
        check.that("parameters.top_p", 0 < parameters.top_p <= 1, "must be above 0 and up to 1")
    if parameters.HasField("max_output_tokens"):
        check.that("parameters.max_output_tokens", parameters.max_output_tokens >= 1, "must be at least 1")
    if parameters.HasField("seed"):
        check.that("parameters.seed", parameters.seed >= 0, "must not be negative")
    check.that("parameters.stop", len(parameters.stop) <= MAX_STOPS, f"must be at most {MAX_STOPS} strings")
    lengths_fit = all(1 <= len(stop) <= MAX_STOP_CHARACTERS for stop in parameters.stop)
    check.that("parameters.stop", lengths_fit, f"must be strings of 1 to {MAX_STOP_CHARACTERS} characters")
