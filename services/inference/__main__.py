"""inference: what is real."""

import asyncio
import logging
import os
from functools import partial

from parley.inference.v1 import inference_service_pb2
from parley.inference.v1.inference_service_pb2_grpc import add_InferenceServiceServicer_to_server
from services.chassis.channel import open_channel
from services.chassis.config import load
from services.chassis.door import Door
from services.chassis.process import run
from services.chassis.server import Server, serve
from services.chassis.telemetry import log
from services.chassis.tokens import AuthKeys
from services.inference import sentence_embedder
from services.inference.admission import Bounds, Limits
from services.inference.batch_engine import BatchEngine, Loaded
from services.inference.config import Config
from services.inference.embedder import Embedder, FakeEmbedder
from services.inference.engine import Engine, ModelUnusableError, Parameters
from services.inference.fake import FakeEngine, Pace
from services.inference.service import InferenceService
from services.inference.watchdog import Watchdog
from services.inference.weights import locate, names

logger = logging.getLogger(__name__)

NAME = "inference"


def make_engine(config: Config) -> Engine:
    limits = Limits(config.pending_prompt_tokens_limit, config.max_expected_wait, config.tenant_share)
    if config.engine == "fake":
        pace = Pace(config.fake_tokens_per_second, config.fake_first_token_seconds)
        return FakeEngine(
            slots=config.slots,
            waiting=config.waiting,
            context_length=config.max_context_length,
            words=config.fake_words,
            pace=pace,
            limits=limits,
        )
    if config.engine == "upstream":
        # Only now, because an HTTP client takes a moment to import.
        from services.inference.upstream.wiring import make

        return make(config)
    bounds = Bounds(config.slots, config.waiting, config.cache_tokens, config.prefill_tokens, limits)
    model_id, display_name = names(config.model)
    return BatchEngine(model_id, partial(load_model, config), bounds, display_name=display_name)


def make_embedder(config: Config) -> Embedder | None:
    if not config.embedding_model:
        return None
    return FakeEmbedder() if config.engine == "fake" else sentence_embedder.make(config.embedding_model)


def load_model(config: Config) -> Loaded:
    folder = locate(config.model, config.cache.expanduser())
    # Only now, because numba takes seconds to import, and torch more: what is missing was named before them.
    from services.inference.loading import load as load_folder

    return load_folder(
        folder,
        device=config.device,
        precision=config.precision,
        threads=config.threads,
        cache_tokens=config.cache_tokens,
        max_context_length=config.max_context_length,
        kernels=config.cache.expanduser(),
    )


async def main() -> None:
    config = load(Config)
    engine = make_engine(config)
    defaults = Parameters(
        config.default_temperature, config.default_top_p, config.default_max_output_tokens, (), config.default_seed
    )
    watchdog = Watchdog(engine, step_seconds=config.step_seconds, loading_seconds=config.loading_seconds)
    service = InferenceService(engine, defaults, config.generations_per_stream, make_embedder(config))
    descriptor = inference_service_pb2.DESCRIPTOR.services_by_name["InferenceService"]
    async with open_channel(config.auth_address) as auth, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(engine.run())
        server = Server(
            config,
            Door(NAME, AuthKeys(auth)),
            {descriptor: lambda server: add_InferenceServiceServicer_to_server(service, server)},
            checks={"engine": engine.check, "steps": watchdog.check},
            lives={"steps": watchdog.check},
        )
        await serve(NAME, config, server, hand_over=service.drain)
        running.cancel()


if __name__ == "__main__":
    status = 0
    try:
        run(main)
    except ExceptionGroup as group:
        unusable, unexpected = group.split(ModelUnusableError)
        if unexpected or not unusable:
            raise
        for error in unusable.exceptions:
            log(logger, logging.ERROR, "the model cannot be used", why=str(error))
        status = 2
    # At once: a model that is still loading cannot be told to stop, and torch aborts where Python ends its thread.
    os._exit(status)
