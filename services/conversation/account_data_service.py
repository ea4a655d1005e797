"""AccountDataService: message in, domain call, message out."""

from typing import Any

import grpc

from parley.conversation.v1 import account_data_service_pb2 as pb
from parley.conversation.v1.account_data_service_pb2_grpc import AccountDataServiceServicer
from services.chassis.identity import caller
from services.conversation.leaving import Leaving

Context = grpc.aio.ServicerContext[Any, Any]


class AccountDataService(AccountDataServiceServicer):
    def __init__(self, leaving: Leaving) -> None:
        self._leaving = leaving

    async def DeleteAccount(self, request: pb.DeleteAccountRequest, context: Context) -> pb.DeleteAccountResponse:
        caller().require_account()
        receipt = await self._leaving.delete_account()
        return pb.DeleteAccountResponse(
            receipt=[
                pb.DeletedRecords(store=store, kind=kind, count=count)
                for (store, kind), count in sorted(receipt.items())
            ]
        )
