"""What an upstream's HTTP says, as our errors. Its words stay here."""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus

from services.chassis.errors import DomainError, Reason
from services.inference.engine import engine_failed, overloaded

RETRY_SECONDS = 1.0
"""After an upstream that is too busy and does not say for how long."""
MAX_RETRY_SECONDS = 60.0
_CONTEXT = re.compile(r"context|max_model_len|maximum model length|too long", re.IGNORECASE)


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> DomainError:
    """Its CONTEXT_LENGTH_EXCEEDED lacks the numbers, which the upstream's words hide."""
    match status:
        case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.SERVICE_UNAVAILABLE:
            return overloaded("The upstream is too busy.", _retry_after(headers))
        case HTTPStatus.BAD_REQUEST | HTTPStatus.REQUEST_ENTITY_TOO_LARGE if _CONTEXT.search(_message(body)):
            return DomainError(Reason.CONTEXT_LENGTH_EXCEEDED, "The upstream's context is too short.")
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return lost("The upstream broke.")
        case _:
            return engine_failed(f"The upstream refused the request with status {status}.")


def lost(message: str) -> DomainError:
    """The reply can go on from its tokens, here or elsewhere."""
    return DomainError(Reason.UNAVAILABLE, message, retry_after=RETRY_SECONDS)


def _retry_after(headers: Mapping[str, str]) -> float:
    """Its seconds; the other form, a date, is not read."""
    text = headers.get("retry-after", "")
    return min(float(text), MAX_RETRY_SECONDS) if text.isdigit() else RETRY_SECONDS


def _message(body: bytes) -> str:
    try:
        answer = json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    return json.dumps(error)
