"""Models that can be asked."""

import strawberry

from parley.inference.v1 import inference_service_pb2 as pb
from services.chassis.errors import DomainError, Reason
from services.edge.context import Context
from services.edge.schema.described import described
from services.edge.schema.info import Info


@strawberry.type(description="A language model.")
class Model:
    id: strawberry.ID
    display_name: str
    context_length: int = strawberry.field(description="Tokens of prompt and reply together.")
    ready: bool = strawberry.field(description="It is loaded and warm.")

    @classmethod
    def of(cls, model: pb.Model) -> "Model":
        return cls(
            id=strawberry.ID(model.model_id),
            display_name=model.display_name,
            context_length=model.context_length,
            ready=model.ready,
        )


async def list_models(context: Context) -> list[Model]:
    """In the order of the deployment; the first is its default."""
    answer = await context.call(context.mesh.inference, context.mesh.models.ListModels, pb.ListModelsRequest())
    return [Model.of(model) for model in answer.models]


async def require_model(context: Context, model_id: str) -> None:
    if model_id not in [model.id for model in await list_models(context)]:
        raise DomainError(
            Reason.MODEL_NOT_FOUND, "There is no such model.", fields={"model": "must be the id of a model"}
        )


@strawberry.type
class ModelQuery:
    @described
    @strawberry.field
    async def models(self, info: Info) -> list[Model]:
        """The models that can be asked; the first is the default."""
        return await list_models(info.context)
