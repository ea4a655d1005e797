"""InferenceService: message in, engine call, message out."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import grpc

from parley.inference.v1 import generation_pb2 as gen
from parley.inference.v1 import inference_service_pb2 as pb
from parley.inference.v1.inference_service_pb2_grpc import InferenceServiceServicer
from services.chassis.checks import Checks
from services.chassis.identity import caller
from services.inference.embedder import Embedder
from services.inference.engine import Engine, Load, Parameters, Request, model_not_found
from services.inference.outbox import follow
from services.inference.stream import GenerationStream
from services.inference.wire import ROLES, to_embedding, to_load, to_messages, to_model, to_request, to_response

MAX_TEXT_BYTES = 1024 * 1024
MAX_NAME_BYTES = 256
MAX_STOPS = 4
MAX_STOP_CHARACTERS = 64
MAX_SCHEMA_BYTES = 65_536
MAX_TOP_LOGPROBS = 20
MAX_EMBEDDED_TEXTS = 64
MAX_EMBEDDED_BYTES = 65_536

Context = grpc.aio.ServicerContext[Any, Any]


class InferenceService(InferenceServiceServicer):
    def __init__(
        self, engine: Engine, defaults: Parameters, generations_per_stream: int, embedder: Embedder | None = None
    ) -> None:
        self._engine, self._defaults, self._generations_per_stream = engine, defaults, generations_per_stream
        self._embedder, self._draining = embedder, False

    def drain(self) -> None:
        """From now on its load says that it should be given nothing new. What comes all the same is served."""
        self._draining = True

    async def Generate(self, request: pb.GenerateRequest, context: Context) -> AsyncIterator[pb.GenerateResponse]:
        who = caller()
        who.require_account()
        with Checks() as check:
            _check_generate(check, request)
        async with aclosing(follow(self._engine, to_request(request, self._defaults, who.tenant_id))) as events:
            async for event in events:
                yield to_response(event)

    async def GenerateMany(
        self, requests: AsyncIterator[pb.GenerateManyRequest], context: Context
    ) -> AsyncIterator[pb.GenerateManyResponse]:
        caller().require_service("conversation")
        stream = GenerationStream(self._engine, self._read_start, self._load, self._generations_per_stream)
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

    async def Embed(self, request: pb.EmbedRequest, context: Context) -> pb.EmbedResponse:
        with Checks() as check:
            check.text("model", request.model, max_bytes=MAX_NAME_BYTES)
            count_fits = 1 <= len(request.texts) <= MAX_EMBEDDED_TEXTS
            check.that("texts", count_fits, f"must be 1 to {MAX_EMBEDDED_TEXTS} texts")
            for place, text in enumerate(request.texts):
                check.text(f"texts[{place}]", text, max_bytes=MAX_EMBEDDED_BYTES)
        if not self._embedder or request.model not in ("", self._embedder.model_id):
            raise model_not_found(request.model)
        embeddings = await self._embedder.embed(request.texts)
        return pb.EmbedResponse(embeddings=map(to_embedding, embeddings), model=self._embedder.model_id)

    async def GetLoad(self, request: pb.GetLoadRequest, context: Context) -> pb.GetLoadResponse:
        return to_load(self._load())

    def _load(self) -> Load:
        return replace(self._engine.load(), draining=self._draining)

    def _read_start(self, start: pb.GenerateRequest) -> Request:
        with Checks() as check:
            _check_generate(check, start)
            check.text("owner.tenant_id", start.owner.tenant_id, min_bytes=1, max_bytes=MAX_NAME_BYTES)
            check.text("owner.account_id", start.owner.account_id, min_bytes=1, max_bytes=MAX_NAME_BYTES)
        return to_request(start, self._defaults, start.owner.tenant_id)


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
    check.text("parameters.json_schema", parameters.json_schema, max_bytes=MAX_SCHEMA_BYTES)
    # A reply that ends before a stop string conforms to no schema.
    both = bool(parameters.json_schema and parameters.stop)
    check.that("parameters.stop", not both, "must be empty where parameters.json_schema is set")
    if parameters.HasField("top_logprobs"):
        check.range("parameters.top_logprobs", parameters.top_logprobs, 0, MAX_TOP_LOGPROBS)
