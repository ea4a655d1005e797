"""Errors: what a service raises, and the one place where it becomes a google.rpc.Status and back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode
from grpc_status import rpc_status

DOMAIN = "parley"


class Reason(StrEnum):
    """The closed list of reasons, the same on every door."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    INVALID_PAGE_TOKEN = "INVALID_PAGE_TOKEN"  # noqa: S105 - a reason
    INVALID_CURSOR = "INVALID_CURSOR"
    DEADLINE_REQUIRED = "DEADLINE_REQUIRED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    ACCOUNT_CLOSED = "ACCOUNT_CLOSED"
    NOT_FOUND = "NOT_FOUND"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    MESSAGE_CONFLICT = "MESSAGE_CONFLICT"
    CONVERSATION_CONFLICT = "CONVERSATION_CONFLICT"
    RESERVATION_CONFLICT = "RESERVATION_CONFLICT"
    EMAIL_TAKEN = "EMAIL_TAKEN"
    ETAG_MISMATCH = "ETAG_MISMATCH"
    CONTEXT_LENGTH_EXCEEDED = "CONTEXT_LENGTH_EXCEEDED"
    REPLY_IN_PROGRESS = "REPLY_IN_PROGRESS"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    RATE_LIMITED = "RATE_LIMITED"
    ENGINE_OVERLOADED = "ENGINE_OVERLOADED"
    ENGINE_FAILED = "ENGINE_FAILED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


_CODES: dict[StatusCode, tuple[Reason, ...]] = {
    StatusCode.INVALID_ARGUMENT: (
        Reason.INVALID_ARGUMENT,
        Reason.INVALID_PAGE_TOKEN,
        Reason.INVALID_CURSOR,
        Reason.DEADLINE_REQUIRED,
    ),
    StatusCode.UNAUTHENTICATED: (Reason.UNAUTHENTICATED, Reason.INVALID_CREDENTIALS),
    StatusCode.PERMISSION_DENIED: (Reason.PERMISSION_DENIED, Reason.ACCOUNT_CLOSED),
    StatusCode.NOT_FOUND: (Reason.NOT_FOUND, Reason.MODEL_NOT_FOUND),
    StatusCode.ALREADY_EXISTS: (
        Reason.MESSAGE_CONFLICT,
        Reason.CONVERSATION_CONFLICT,
        Reason.RESERVATION_CONFLICT,
        Reason.EMAIL_TAKEN,
    ),
    StatusCode.ABORTED: (Reason.ETAG_MISMATCH,),
    StatusCode.FAILED_PRECONDITION: (Reason.CONTEXT_LENGTH_EXCEEDED, Reason.REPLY_IN_PROGRESS),
    StatusCode.RESOURCE_EXHAUSTED: (
        Reason.LIMIT_EXCEEDED,
        Reason.QUOTA_EXCEEDED,
        Reason.RATE_LIMITED,
        Reason.ENGINE_OVERLOADED,
    ),
    StatusCode.DEADLINE_EXCEEDED: (Reason.DEADLINE_EXCEEDED,),
    StatusCode.UNAVAILABLE: (Reason.UNAVAILABLE,),
    StatusCode.INTERNAL: (Reason.ENGINE_FAILED, Reason.INTERNAL),
}
AWAY = frozenset({Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED})
"""Whoever was asked may answer another time; any other reason would come back."""
CODE_OF: Mapping[Reason, StatusCode] = {reason: code for code, reasons in _CODES.items() for reason in reasons}
_REASON_OF_BARE: Mapping[StatusCode, Reason] = {
    **{code: reasons[0] for code, reasons in _CODES.items() if code is not StatusCode.INTERNAL},
    StatusCode.CANCELLED: Reason.UNAVAILABLE,
}


@dataclass(eq=False)
class DomainError(Exception):
    """Something that the caller can understand. `message` is for people and never holds a driver's words."""

    reason: Reason
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with each field of the request."""
    retry_after: float | None = None
    """Seconds."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


def not_found(what: str) -> DomainError:
    """The answer for what is not there and for what is another's, so that nobody can tell them apart."""
    return DomainError(Reason.NOT_FOUND, f"There is no such {what}.")


def to_status(error: DomainError) -> status_pb2.Status:
    status = status_pb2.Status(code=CODE_OF[error.reason].value[0], message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    details = [info, *_extra_details(error)]
    for detail in details:
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _extra_details(
    error: DomainError,
) -> list[error_details_pb2.BadRequest | error_details_pb2.RetryInfo | error_details_pb2.QuotaFailure]:
    details: list[error_details_pb2.BadRequest | error_details_pb2.RetryInfo | error_details_pb2.QuotaFailure] = []
    if error.fields:
        violation = error_details_pb2.BadRequest.FieldViolation
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[violation(field=name, description=text) for name, text in error.fields.items()]
            )
        )
    if error.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(int(error.retry_after * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if error.reason is Reason.QUOTA_EXCEEDED:
        quota = error_details_pb2.QuotaFailure.Violation(
            subject=error.metadata.get("subject", ""), description=error.message
        )
        details.append(error_details_pb2.QuotaFailure(violations=[quota]))
    return details


def from_status(status: status_pb2.Status) -> DomainError:
    """The error that `to_status` was given; of a foreign status, the reason that fits its code."""
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details:
        for kind in (info, bad, retry):
            if detail.Is(kind.DESCRIPTOR):
                detail.Unpack(kind)
    reason = Reason(info.reason) if info.reason in Reason.__members__ else _bare_reason(status.code)
    return DomainError(
        reason,
        status.message,
        metadata=dict(info.metadata),
        fields={violation.field: violation.description for violation in bad.field_violations},
        retry_after=retry.retry_delay.ToMilliseconds() / 1000 if retry.HasField("retry_delay") else None,
    )


def from_rpc(error: grpc.aio.AioRpcError) -> DomainError:
    """The error of a call to a peer. Words of the transport stay here: they name addresses."""
    status = rpc_status.from_call(cast("grpc.Call", error))
    if status is not None:
        return from_status(status)
    return DomainError(_REASON_OF_BARE.get(error.code(), Reason.INTERNAL), "A service of the mesh did not answer.")


def _bare_reason(code: int) -> Reason:
    known = {status.value[0]: reason for status, reason in _REASON_OF_BARE.items()}
    return known.get(code, Reason.INTERNAL)
