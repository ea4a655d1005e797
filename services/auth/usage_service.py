"""UsageService: message in, domain call, message out. Everything acts for the caller's account alone."""

from typing import Any

import grpc

from parley.auth.v1 import usage_service_pb2 as pb
from parley.auth.v1.usage_service_pb2_grpc import UsageServiceServicer
from services.auth.ledger import Ledger
from services.auth.records import Owner
from services.auth.wire import to_usage
from services.chassis.checks import Checks
from services.chassis.identity import caller

MAX_MODEL_BYTES = 256
MAX_TOKENS = 2**31 - 1
"""What the reply's own usage can name."""

Context = grpc.aio.ServicerContext[Any, Any]


class UsageService(UsageServiceServicer):
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def ReserveUsage(self, request: pb.ReserveUsageRequest, context: Context) -> pb.ReserveUsageResponse:
        with Checks() as check:
            check.id("reservation_id", request.reservation_id)
            check.text("model", request.model, min_bytes=1, max_bytes=MAX_MODEL_BYTES)
            check.range("tokens", request.tokens, 1, MAX_TOKENS)
        usage = await self._ledger.reserve(_owner(), request.reservation_id, request.model, request.tokens)
        return pb.ReserveUsageResponse(usage=to_usage(usage))

    async def SettleUsage(self, request: pb.SettleUsageRequest, context: Context) -> pb.SettleUsageResponse:
        used = request.usage
        with Checks() as check:
            check.id("reservation_id", request.reservation_id)
            check.that("usage", request.HasField("usage"), "must be set")
            check.range("usage.prompt_tokens", used.prompt_tokens, 0, MAX_TOKENS)
            check.range("usage.completion_tokens", used.completion_tokens, 0, MAX_TOKENS)
        usage = await self._ledger.settle(_owner(), request.reservation_id, used.prompt_tokens, used.completion_tokens)
        return pb.SettleUsageResponse(usage=to_usage(usage))

    async def ReleaseUsage(self, request: pb.ReleaseUsageRequest, context: Context) -> pb.ReleaseUsageResponse:
        with Checks() as check:
            check.id("reservation_id", request.reservation_id)
        await self._ledger.release(_owner(), request.reservation_id)
        return pb.ReleaseUsageResponse()

    async def GetUsage(self, request: pb.GetUsageRequest, context: Context) -> pb.GetUsageResponse:
        return pb.GetUsageResponse(usage=to_usage(await self._ledger.usage(_owner())))


def _owner() -> Owner:
    who = caller()
    return Owner(who.tenant_id, who.require_account())
