"""What somebody used."""

from datetime import datetime
from typing import NewType

import strawberry

from parley.auth.v1 import usage_service_pb2 as pb
from services.chassis.times import to_datetime

BigInt = NewType("BigInt", int)
BIG_INT = strawberry.scalar(
    name="BigInt", description="A whole number that may need more than 32 bits.", serialize=int, parse_value=int
)


@strawberry.type(description="An account's tokens in the current period, a calendar month in UTC.")
class Usage:
    used_tokens: BigInt
    reserved_tokens: BigInt = strawberry.field(description="Set aside for replies in progress.")
    limit_tokens: BigInt | None = strawberry.field(description="The most that may be used; null for no limit.")
    reset_time: datetime = strawberry.field(description="When the next period starts.")

    @classmethod
    def of(cls, usage: pb.Usage) -> "Usage":
        return cls(
            used_tokens=BigInt(usage.used_tokens),
            reserved_tokens=BigInt(usage.reserved_tokens),
            limit_tokens=BigInt(usage.limit_tokens) if usage.HasField("limit_tokens") else None,
            reset_time=to_datetime(usage.reset_time),
        )
