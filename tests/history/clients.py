"""Accounts that call HistoryService over a real socket, and what they say."""

import grpc

from parley.history.v1 import history_service_pb2 as pb
from parley.history.v1.history_service_pb2_grpc import HistoryServiceStub
from parley.inference.v1 import generation_pb2 as gen
from services.chassis.errors import from_rpc
from services.chassis.ids import new_id
from tests.identity import Signer

PARAMETERS = gen.GenerationParameters(temperature=0.5, top_p=1, max_output_tokens=10, seed=3)


class Client:
    """A stub that calls as one account."""

    def __init__(self, port: int, signer: Signer, account_id: str) -> None:
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self.stub = HistoryServiceStub(self._channel)
        self._metadata = signer.metadata("history", account_id)

    async def call(self, method: str, request: object) -> object:
        try:
            return await getattr(self.stub, method)(request, metadata=self._metadata, timeout=5)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error

    async def create(self, message: pb.Message) -> pb.Message:
        answer = await self.call("CreateMessage", pb.CreateMessageRequest(message=message))
        assert isinstance(answer, pb.CreateMessageResponse)
        return answer.message

    async def list(self, conversation_id: str, **fields: object) -> pb.ListMessagesResponse:
        request = pb.ListMessagesRequest(conversation_id=conversation_id, **fields)  # type: ignore[arg-type]
        answer = await self.call("ListMessages", request)
        assert isinstance(answer, pb.ListMessagesResponse)
        return answer

    async def delete(self, conversation_id: str) -> int:
        answer = await self.call("DeleteMessages", pb.DeleteMessagesRequest(conversation_id=conversation_id))
        assert isinstance(answer, pb.DeleteMessagesResponse)
        return answer.deleted

    async def close(self) -> None:
        await self._channel.close()


class Clients:
    def __init__(self, port: int, signer: Signer) -> None:
        self.port, self.signer = port, signer
        self.ann, self.bob = Client(port, signer, "ann"), Client(port, signer, "bob")


def question(conversation_id: str, parent_id: str | None = None, text: str = "why?") -> pb.Message:
    return pb.Message(
        conversation_id=conversation_id, message_id=new_id(), parent_id=parent_id, role=gen.ROLE_USER, text=text
    )


def reply(parent: pb.Message) -> pb.Message:
    return pb.Message(
        conversation_id=parent.conversation_id,
        message_id=new_id(),
        parent_id=parent.message_id,
        role=gen.ROLE_ASSISTANT,
        request=pb.ReplyRequest(model="m", parameters=PARAMETERS),
    )


def completion(message: pb.Message, text: str = "because") -> pb.CompleteMessageRequest:
    return pb.CompleteMessageRequest(
        conversation_id=message.conversation_id,
        message_id=message.message_id,
        result=pb.ReplyResult(status=pb.MESSAGE_STATUS_COMPLETED, text=text, finish_reason=gen.FINISH_REASON_STOP),
    )
