"""HistoryService over a real socket, on each store."""

import uuid
from collections.abc import AsyncIterator

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from hypothesis import given
from hypothesis import strategies as st

from parley.history.v1 import history_service_pb2 as pb
from parley.history.v1.history_service_pb2_grpc import add_HistoryServiceServicer_to_server
from parley.inference.v1 import generation_pb2 as gen
from services.chassis.config import ServiceSettings
from services.chassis.door import Door
from services.chassis.errors import DomainError, Reason
from services.chassis.ids import new_id
from services.chassis.paging import seal, unseal
from services.chassis.server import Server
from services.history.service import HistoryService
from services.history.store import Store
from tests.history.clients import PARAMETERS, Clients, completion, question, reply
from tests.identity import Signer


@pytest.fixture
async def clients(store: Store) -> AsyncIterator[Clients]:
    signer = Signer()
    service = HistoryService(store)
    descriptor = pb.DESCRIPTOR.services_by_name["HistoryService"]
    server = Server(
        ServiceSettings(),
        Door("history", signer),
        {descriptor: lambda server: add_HistoryServiceServicer_to_server(service, server)},
    )
    async with server:
        clients = Clients(server.port, signer)
        yield clients
        await clients.ann.close()
        await clients.bob.close()


async def test_a_reply_from_request_to_result(clients: Clients) -> None:
    asked = await clients.ann.create(question(new_id()))
    assert asked.status == pb.MESSAGE_STATUS_COMPLETED
    waiting = await clients.ann.create(reply(asked))
    assert (waiting.status, waiting.text, waiting.HasField("result")) == (pb.MESSAGE_STATUS_IN_PROGRESS, "", False)
    done = await clients.ann.call("CompleteMessage", completion(waiting))
    assert isinstance(done, pb.CompleteMessageResponse)
    assert (done.message.status, done.message.text) == (pb.MESSAGE_STATUS_COMPLETED, "because")
    again = await clients.ann.call("CompleteMessage", completion(waiting, "something else"))
    assert again == done


async def test_creating_again_returns_the_stored_and_other_content_conflicts(clients: Clients) -> None:
    message = question(new_id())
    assert await clients.ann.create(message) == await clients.ann.create(message)
    message.text = "how?"
    with pytest.raises(DomainError) as conflict:
        await clients.ann.create(message)
    assert conflict.value.reason is Reason.MESSAGE_CONFLICT
    assert conflict.value.metadata == {"message_id": message.message_id}


async def test_create_time_is_the_time_in_the_id(clients: Clients) -> None:
    message = await clients.ann.create(question(new_id()))
    milliseconds = int(message.message_id.replace("-", "")[:12], 16)
    assert message.create_time.ToMilliseconds() == milliseconds


async def test_another_account_finds_nothing_and_changes_nothing(clients: Clients) -> None:
    asked = await clients.ann.create(question(new_id()))
    waiting = await clients.ann.create(reply(asked))
    attempts = [
        ("GetMessage", pb.GetMessageRequest(conversation_id=asked.conversation_id, message_id=asked.message_id)),
        ("CompleteMessage", completion(waiting)),
        ("CreateMessage", pb.CreateMessageRequest(message=asked)),
        ("ListMessages", pb.ListMessagesRequest(conversation_id=asked.conversation_id, leaf_id=asked.message_id)),
    ]
    for method, request in attempts:
        with pytest.raises(DomainError) as refused:
            await clients.bob.call(method, request)
        assert refused.value.reason is Reason.NOT_FOUND, method
    assert not (await clients.bob.list(asked.conversation_id)).messages
    assert await clients.bob.delete(asked.conversation_id) == 0
    assert list((await clients.ann.list(asked.conversation_id)).messages) == [waiting, asked]


async def test_a_deletion_says_how_many_messages_there_were(clients: Clients) -> None:
    asked = await clients.ann.create(question(new_id()))
    for _ in range(2):
        await clients.ann.create(reply(asked))
    assert [await clients.ann.delete(asked.conversation_id) for _ in range(2)] == [3, 0]
    assert not (await clients.ann.list(asked.conversation_id)).messages


async def test_a_branch_is_paged_from_its_leaf_with_siblings(clients: Clients) -> None:
    root = await clients.ann.create(question(new_id()))
    left, right = await clients.ann.create(reply(root)), await clients.ann.create(reply(root))
    leaf = await clients.ann.create(question(root.conversation_id, left.message_id))
    first = await clients.ann.list(root.conversation_id, leaf_id=leaf.message_id, page_size=2, with_siblings=True)
    assert list(first.messages) == [leaf, left]
    assert list(first.siblings[left.message_id].message_ids) == [left.message_id, right.message_id]
    rest = await clients.ann.list(
        root.conversation_id, leaf_id=leaf.message_id, page_size=2, page_token=first.next_page_token
    )
    assert (list(rest.messages), rest.next_page_token) == ([root], "")


async def test_a_page_token_of_another_list_is_refused(clients: Clients) -> None:
    one, other = new_id(), new_id()
    for conversation_id in (one, other):
        for _ in range(3):
            await clients.ann.create(question(conversation_id))
    token = (await clients.ann.list(one, page_size=1)).next_page_token
    for forged in (token, "garbage", "A" * 5000, seal("messages", new_id())):
        with pytest.raises(DomainError) as refused:
            await clients.ann.list(other, page_size=1, page_token=forged)
        assert refused.value.reason is Reason.INVALID_PAGE_TOKEN


async def test_a_page_of_long_texts_ends_early_and_the_pages_cover_all(clients: Clients) -> None:
    conversation_id = new_id()
    created = [await clients.ann.create(question(conversation_id, text="x" * 1_000_000)) for _ in range(6)]
    listed: list[str] = []
    pages, token = 0, ""
    while token or not pages:
        page = await clients.ann.list(conversation_id, page_token=token)
        listed += [message.message_id for message in page.messages]
        pages, token = pages + 1, page.next_page_token
    assert pages == 2
    assert listed == [message.message_id for message in reversed(created)]


BAD_MESSAGES: dict[str, dict[str, object]] = {
    "message.conversation_id": {"conversation_id": str(uuid.uuid4())},
    "message.message_id": {"message_id": new_id().upper()},
    "message.parent_id": {"parent_id": "root"},
    "message.role": {"role": 99},
    "message.text": {"text": "a\0b"},
    "message.request.model": {"text": "", "request": pb.ReplyRequest(parameters=PARAMETERS)},
    "message.request.parameters.seed": {
        "text": "",
        "request": pb.ReplyRequest(model="m", parameters=gen.GenerationParameters(temperature=0, top_p=1)),
    },
    "message.result": {"result": pb.ReplyResult(text="x")},
}


@pytest.mark.parametrize("field", BAD_MESSAGES)
async def test_a_bad_field_is_named_and_nothing_is_written(clients: Clients, field: str) -> None:
    message = question(new_id())
    for name, value in BAD_MESSAGES[field].items():
        if isinstance(value, pb.ReplyRequest | pb.ReplyResult):
            getattr(message, name).CopyFrom(value)
        else:
            setattr(message, name, value)
    with pytest.raises(DomainError) as refused:
        await clients.ann.create(message)
    assert refused.value.reason is Reason.INVALID_ARGUMENT
    assert field in refused.value.fields
    if field != "message.conversation_id":
        assert not (await clients.ann.list(message.conversation_id)).messages


@pytest.mark.parametrize("size", [-1, 201, 2**31 - 1])
async def test_a_bad_page_size_is_refused(clients: Clients, size: int) -> None:
    with pytest.raises(DomainError) as refused:
        await clients.ann.list(new_id(), page_size=size)
    assert refused.value.fields == {"page_size": "must be from 0 (the default) to 200"}


async def test_the_error_on_the_wire_has_one_error_info(clients: Clients) -> None:
    with pytest.raises(DomainError) as refused:
        await clients.ann.list("nonsense", page_size=-1)
    cause = refused.value.__cause__
    assert isinstance(cause, grpc.aio.AioRpcError)
    status = rpc_status.from_call(cause)  # type: ignore[arg-type]
    assert status is not None
    infos = [detail for detail in status.details if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    assert len(infos) == 1
    assert set(refused.value.fields) == {"conversation_id", "page_size"}


@given(st.text(), st.text(), st.text(max_size=40))
def test_page_tokens_open_only_for_their_list(scope: str, other: str, position: str) -> None:
    token = seal(scope, position)
    assert unseal(scope, token) == position
    if other != scope:
        with pytest.raises(DomainError):
            unseal(other, token)
