"""A GraphQL request as clients write it."""

import json
import math
from dataclasses import dataclass
from typing import NoReturn

from services.edge.errors import BAD_USER_INPUT, refused


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    query: str
    variables: dict[str, object]
    operation_name: str | None


def read_json(text: str | bytes) -> object:
    """The value. Raises Refused unless the text is JSON of whole UTF-8 characters."""
    try:
        text = text.decode() if isinstance(text, bytes) else text
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite)
        if "\\u" in text:
            # Half a surrogate pair is JSON, but no text.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise refused(BAD_USER_INPUT, "The request is not JSON in UTF-8.") from None
    return value


def read_request(value: object) -> GraphQLRequest:
    """The request in a body or a message. Raises Refused."""
    if isinstance(value, list):
        raise refused(BAD_USER_INPUT, "Send one operation at a time: batches are not taken.")
    if not isinstance(value, dict):
        raise refused(BAD_USER_INPUT, "A request is an object with a query.")
    query, name = value.get("query"), value.get("operationName")
    variables, extensions = value.get("variables"), value.get("extensions")
    if not isinstance(query, str):
        raise refused(BAD_USER_INPUT, "query must be a string.")
    if not isinstance(variables, dict | None):
        raise refused(BAD_USER_INPUT, "variables must be an object.")
    if not isinstance(name, str | None):
        raise refused(BAD_USER_INPUT, "operationName must be a string.")
    if not isinstance(extensions, dict | None):
        raise refused(BAD_USER_INPUT, "extensions must be an object.")
    return GraphQLRequest(query, variables or {}, name)


def _no_number(constant: str) -> NoReturn:
    raise ValueError(constant)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(digits)
    return number
