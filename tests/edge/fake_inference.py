"""inference, in a test's mesh."""
# ruff: noqa: N802 - methods have the names of the contract

from parley.inference.v1 import inference_service_pb2 as pb
from tests.edge.state import State


class FakeInference:
    def __init__(self, state: State) -> None:
        self._state = state

    async def ListModels(self, _: pb.ListModelsRequest) -> pb.ListModelsResponse:
        return pb.ListModelsResponse(models=self._state.models)
