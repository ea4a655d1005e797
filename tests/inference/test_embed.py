"""Embeddings: the bundled model's against what transformers computes, and Embed through the real door."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from parley.inference.v1 import inference_service_pb2 as pb
from services.chassis.errors import DomainError, Reason, from_rpc
from services.inference.embedder import Embedder, Embedding, FakeEmbedder
from services.inference.engine import ModelUnusableError
from services.inference.fake import FakeEngine
from services.inference.sentence_embedder import MODEL_ID, WAITING, Embed, SentenceEmbedder, bundled, load, make
from tests.inference.serving import TIMEOUT, Served, served

TEXTS = (
    "A cat sits on the mat.",
    "A kitten is lying on a rug.",
    "The stock market fell sharply today.",
    "Shares lost much of their value.",
    "",
    "Größe 東京 👋🏽",
    "word " * 400,
)


@pytest.fixture(scope="session")
def embed() -> Embed:
    return load(bundled())


@pytest.fixture
def sentences(embed: Embed) -> Embedder:
    return SentenceEmbedder(MODEL_ID, lambda: embed)


def of_transformers(texts: tuple[str, ...]) -> NDArray[np.float32]:
    """All texts in one padded batch, as the model's card says to do it."""
    tokenizer = AutoTokenizer.from_pretrained(bundled())
    model = AutoModel.from_pretrained(bundled())
    encoded = tokenizer(list(texts), padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.inference_mode():
        last = model(**encoded).last_hidden_state
    kept = encoded["attention_mask"].unsqueeze(-1).float()
    means: torch.Tensor = (last * kept).sum(1) / kept.sum(1)
    normal: NDArray[np.float32] = torch.nn.functional.normalize(means, dim=1).numpy()
    return normal


async def test_they_are_those_of_transformers(sentences: Embedder) -> None:
    ours = await sentences.embed(TEXTS)
    for each, theirs in zip(ours, of_transformers(TEXTS), strict=True):
        assert np.abs(each.values - theirs).max() < 1e-5
        assert abs(float(each.values @ each.values) - 1) < 1e-6
    assert [(each.token_count, each.truncated) for each in ours[-3:]] == [(2, False), (8, False), (256, True)]


async def test_what_means_the_like_is_near(sentences: Embedder) -> None:
    cat, kitten, market, shares, *_ = [each.values for each in await sentences.embed(TEXTS)]
    assert min(cat @ kitten, market @ shares) > 0.4 > 0.2 > max(cat @ market, kitten @ shares)


async def test_what_is_beside_a_text_changes_nothing(sentences: Embedder) -> None:
    together = await sentences.embed(TEXTS)
    results = await asyncio.gather(*(sentences.embed([text]) for text in TEXTS))
    for each, (alone,) in zip(together, results, strict=True):
        assert each.values.tobytes() == alone.values.tobytes()


async def test_too_many_at_once_are_refused_and_later_taken() -> None:
    embedder = SentenceEmbedder("counting", lambda: lambda text: Embedding(np.ones(1, np.float32), len(text), False))
    waiting = asyncio.create_task(embedder.embed(["a"] * WAITING))
    await asyncio.sleep(0)
    with pytest.raises(DomainError) as refused:
        await embedder.embed(["b"])
    assert refused.value.reason is Reason.ENGINE_OVERLOADED
    waiting.cancel()
    await asyncio.wait([waiting])
    assert len(await embedder.embed(["c"] * WAITING)) == WAITING


async def test_a_model_that_is_not_there_fails_each_call_and_says_nothing_of_where(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusableError, match="missing"):
        load(tmp_path)
    embedder = make(str(tmp_path))
    for _ in range(2):
        with pytest.raises(DomainError) as failed:
            await embedder.embed(["a"])
        assert failed.value.reason is Reason.ENGINE_FAILED
        assert str(tmp_path) not in failed.value.message


@pytest.fixture
async def inference() -> AsyncIterator[Served]:
    async with served(FakeEngine()) as inference:
        yield inference


async def call(
    inference: Served, request: pb.EmbedRequest, metadata: grpc.aio.Metadata | None = None
) -> pb.EmbedResponse:
    try:
        return await inference.stub.Embed(request, timeout=TIMEOUT, metadata=metadata or inference.account)
    except grpc.aio.AioRpcError as error:
        raise from_rpc(error) from error


async def test_accounts_and_services_embed_through_the_door(inference: Served) -> None:
    texts = ["the sea is calm", "The sea is calm", "a loud street", "x " * 300]
    for metadata in (inference.account, inference.service):
        answer = await call(inference, pb.EmbedRequest(texts=texts), metadata)
        sea, same, street, long = answer.embeddings
        assert answer.model == FakeEmbedder.model_id
        assert sea == same != street
        assert (sea.token_count, sea.truncated, long.truncated) == (4, False, True)
        assert np.dot(sea.values, sea.values) == pytest.approx(1, abs=1e-6)
    again = await call(inference, pb.EmbedRequest(model=answer.model, texts=texts[2:3]))
    assert again.embeddings[0] == street


BAD = {
    "texts": pb.EmbedRequest(),
    "texts[1]": pb.EmbedRequest(texts=["a", "b\0"]),
    "texts[0]": pb.EmbedRequest(texts=["é" * 32_769]),
    "model": pb.EmbedRequest(model="m" * 257, texts=["a"]),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_field_is_named(inference: Served, name: str) -> None:
    with pytest.raises(DomainError) as refused:
        await call(inference, BAD[name])
    assert refused.value.reason is Reason.INVALID_ARGUMENT
    assert list(refused.value.fields) == [name]


async def test_too_many_texts_and_an_unknown_model_are_refused(inference: Served) -> None:
    with pytest.raises(DomainError) as many:
        await call(inference, pb.EmbedRequest(texts=["a"] * 65))
    assert list(many.value.fields) == ["texts"]
    with pytest.raises(DomainError) as unknown:
        await call(inference, pb.EmbedRequest(model="gpt-9", texts=["a"]))
    assert unknown.value.reason is Reason.MODEL_NOT_FOUND


async def test_where_none_is_served_there_is_no_such_model() -> None:
    async with served(FakeEngine(), embedder=None) as inference:
        with pytest.raises(DomainError) as refused:
            await call(inference, pb.EmbedRequest(texts=["a"]))
        assert refused.value.reason is Reason.MODEL_NOT_FOUND
