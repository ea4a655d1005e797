"""The one place where an error becomes a GraphQL error."""

import logging
import re
import secrets
import traceback
from collections.abc import Sequence

from graphql import GraphQLError, GraphQLSyntaxError

from services.chassis.errors import DomainError, Reason
from services.chassis.telemetry import log

logger = logging.getLogger(__name__)

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
BAD_USER_INPUT = "BAD_USER_INPUT"
_STATUS_OF = {
    Reason.UNAUTHENTICATED: 401,
    Reason.PERMISSION_DENIED: 403,
    Reason.NOT_FOUND: 404,
    Reason.LIMIT_EXCEEDED: 429,
}
MAX_MESSAGE_LENGTH = 300
"""graphql-core quotes the value that it refuses; a client need not get its whole text back."""

Wire = dict[str, object]


class Refused(Exception):  # noqa: N818 - a verdict on the request, not a fault
    """A request that was not executed. `errors` are GraphQL errors as they go out."""

    def __init__(self, errors: Sequence[Wire], status: int = 400) -> None:
        super().__init__("refused")
        self.errors, self.status = list(errors), status


class Invalid(Refused):
    """A request whose document or variables are not valid: to the older media type, that is an answer."""


def refused(code: str, message: str, status: int = 400) -> Refused:
    return Refused([{"message": message, "extensions": {"code": code}}], status)


def request_errors(code: str, errors: Sequence[GraphQLError]) -> list[Wire]:
    """Errors of a document or of variables: the client's own, so they keep their words."""
    return [
        _located(error, error.message, {"code": PARSE_FAILED if isinstance(error, GraphQLSyntaxError) else code})
        for error in errors
    ]


def domain_error(error: DomainError) -> Wire:
    extensions: Wire = {"code": str(error.reason)}
    if error.fields:
        extensions["fields"] = {_camel_case(name): text for name, text in error.fields.items()}
    if error.metadata:
        extensions["metadata"] = {_camel_case(name): text for name, text in error.metadata.items()}
    if error.retry_after is not None:
        extensions["retryAfter"] = error.retry_after
    return {"message": error.message, "extensions": extensions}


def status_of(error: DomainError) -> int:
    """Of what is refused before it is executed. What is not the client's is a mesh that does not answer: 503."""
    return _STATUS_OF.get(error.reason, 503)


def execution_error(error: GraphQLError) -> Wire:
    """An error of a field. What is not a DomainError is nobody's business outside: its place is logged under an id."""
    wire = failure(_cause(error))
    return _located(error, str(wire["message"]), wire["extensions"])


def failure(error: BaseException) -> Wire:
    """Whatever was raised, as it may be told."""
    return domain_error(error) if isinstance(error, DomainError) else domain_error(_neutral(error))


def _neutral(error: BaseException) -> DomainError:
    error_id = secrets.token_hex(8)
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    # The traceback may quote what a user wrote in its last line, so only where it happened is logged.
    where = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-6:]]
    log(logger, logging.ERROR, "unexpected", error_id=error_id, type=type(error).__name__, where=where)
    return DomainError(Reason.INTERNAL, f"Something went wrong. Its id is {error_id}.", metadata={"error_id": error_id})


def _cause(error: BaseException) -> BaseException:
    while isinstance(error, GraphQLError) and error.original_error is not None:
        error = error.original_error
    return error


def _located(error: GraphQLError, message: str, extensions: object) -> Wire:
    wire: Wire = {"message": message if len(message) <= MAX_MESSAGE_LENGTH else f"{message[:MAX_MESSAGE_LENGTH]}…"}
    if error.locations:
        wire["locations"] = [location.formatted for location in error.locations]
    if error.path is not None:
        wire["path"] = error.path
    wire["extensions"] = extensions
    return wire


def _camel_case(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match.group(1).upper(), name)
