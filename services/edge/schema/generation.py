"""How replies are drawn, and what they took."""

from enum import Enum

import strawberry

from parley.inference.v1 import generation_pb2 as pb
from services.edge.schema.absent import ABSENT, given


@strawberry.enum(description="Who speaks in a message.")
class Role(Enum):
    SYSTEM = pb.ROLE_SYSTEM
    USER = pb.ROLE_USER
    ASSISTANT = pb.ROLE_ASSISTANT
    TOOL = pb.ROLE_TOOL


@strawberry.enum(description="Why a reply ended.")
class FinishReason(Enum):
    STOP = pb.FINISH_REASON_STOP
    LENGTH = pb.FINISH_REASON_LENGTH
    CANCELLED = pb.FINISH_REASON_CANCELLED
    ERROR = pb.FINISH_REASON_ERROR


@strawberry.type(description="Tokens that a reply took.")
class TokenUsage:
    prompt_tokens: int
    completion_tokens: int

    @classmethod
    def of(cls, usage: pb.TokenUsage) -> "TokenUsage":
        return cls(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)


@strawberry.input(name="GenerationParameters", description="How a reply is drawn; what is absent is the deployment's.")
class GenerationParametersInput:
    temperature: float | None = strawberry.field(default=ABSENT, description="0 to 2; 0 is greedy.")
    top_p: float | None = strawberry.field(default=ABSENT, description="Above 0, up to 1.")
    max_output_tokens: int | None = ABSENT
    seed: int | None = strawberry.field(default=ABSENT, description="0 to 2147483647.")
    stop: list[str] | None = strawberry.field(default=ABSENT, description="Up to 4 strings, each ends the reply.")

    def to_proto(self) -> pb.GenerationParameters:
        return pb.GenerationParameters(
            temperature=given(self.temperature),
            top_p=given(self.top_p),
            max_output_tokens=given(self.max_output_tokens),
            seed=given(self.seed),
            stop=self.stop or (),
        )


@strawberry.type(description="How a reply was drawn: with its branch, all that decides it.")
class UsedParameters:
    temperature: float
    top_p: float
    max_output_tokens: int
    seed: int
    stop: list[str]

    @classmethod
    def of(cls, parameters: pb.GenerationParameters) -> "UsedParameters":
        return cls(
            temperature=parameters.temperature,
            top_p=parameters.top_p,
            max_output_tokens=parameters.max_output_tokens,
            seed=parameters.seed,
            stop=list(parameters.stop),
        )
