"""Content types of GraphQL over HTTP: which are taken, and which are given."""

from dataclasses import dataclass
from email.message import Message

from services.edge.errors import BAD_USER_INPUT, refused

GRAPHQL_JSON = "application/graphql-response+json"
JSON = "application/json"
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a client takes: a media type for one answer, a stream, or both."""

    answer: str | None
    stream: bool


def accepted(header: str | None) -> Accepted:
    """Of an Accept header. Raises Refused if the client takes nothing that there is."""
    weights = dict(_weight(part) for part in (header or "*/*").split(","))
    # Whoever names no type of ours knows the older one best.
    ours = (GRAPHQL_JSON, JSON) if GRAPHQL_JSON in weights else (JSON, GRAPHQL_JSON)
    answer = max(ours, key=lambda media_type: _of(weights, media_type))
    takes = Accepted(answer=answer if _of(weights, answer) > 0 else None, stream=weights.get(EVENT_STREAM, 0) > 0)
    if takes.answer is None and not takes.stream:
        raise refused(BAD_USER_INPUT, f"Accept {GRAPHQL_JSON}, {JSON} or {EVENT_STREAM}.", 406)
    return takes


def require_json(header: str | None) -> None:
    """Of a Content-Type header: JSON alone, which no form of another site can send. Raises Refused."""
    media_type, parameters = _parse(header or "")
    if media_type != JSON or parameters.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        raise refused(BAD_USER_INPUT, f"Send {JSON} in UTF-8.", 415)


def _of(weights: dict[str, float], media_type: str) -> float:
    kind = media_type.partition("/")[0]
    return next((weights[name] for name in (media_type, f"{kind}/*", "*/*") if name in weights), 0)


def _weight(part: str) -> tuple[str, float]:
    media_type, parameters = _parse(part)
    try:
        return media_type, float(parameters.get("q", "1"))
    except ValueError:
        return media_type, 0


def _parse(header: str) -> tuple[str, dict[str, str]]:
    message = Message()
    message["content-type"] = header
    parameters = {name.lower(): value for name, value in (message.get_params() or [])[1:]}
    return message.get_content_type() if "/" in header else "", parameters
