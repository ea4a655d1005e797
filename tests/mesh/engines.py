"""What the engines of a running mesh say of themselves."""

import grpc

from parley.inference.v1 import inference_service_pb2 as pb
from parley.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from services.chassis.tokens import Tokens
from tests.mesh.running import Running


async def loads(running: Running) -> list[pb.GetLoadResponse]:
    """Of every replica, in their order."""
    async with grpc.aio.insecure_channel(running.addresses("auth")[0]) as auth:
        token = await Tokens("edge", running.secret("edge"), auth).token("inference", None)
    metadata = grpc.aio.Metadata(("authorization", f"Bearer {token}"))
    found = []
    for address in running.addresses("inference"):
        async with grpc.aio.insecure_channel(address) as channel:
            stub = InferenceServiceStub(channel)
            found.append(await stub.GetLoad(pb.GetLoadRequest(), metadata=metadata, timeout=5))
    return found


async def engines_busy(running: Running) -> int:
    """Generations that run or wait on all engines."""
    return sum(load.running + load.waiting for load in await loads(running))
