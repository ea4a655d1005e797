"""Messages as records of a backup, the same for every store."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from services.history.store import FinishReason, Message, Request, Result, Role, Status


def to_record(message: Message) -> dict[str, Any]:
    """What JSON can hold."""
    record = asdict(message)
    if message.result:
        record["result"]["complete_time"] = message.result.complete_time.isoformat()
    return record


def from_record(record: Mapping[str, Any]) -> Message:
    """Raises KeyError, TypeError or ValueError at what `to_record` did not make."""
    request, result = record["request"], record["result"]
    fields = {
        **record,
        "role": Role(record["role"]),
        "request": request and Request(**{**request, "stop": tuple(request["stop"])}),
        "result": result
        and Result(
            **{
                **result,
                "status": Status(result["status"]),
                "finish_reason": FinishReason(result["finish_reason"]),
                "complete_time": datetime.fromisoformat(result["complete_time"]),
            }
        ),
    }
    return Message(**fields)
