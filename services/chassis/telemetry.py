"""Structured logs and trace ids. A log line holds names, counts and ids: never a prompt, a reply, a token or a key."""

import json
import logging
import re
import secrets
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

REQUEST_ID_KEY = "x-request-id"
TRACE_KEY = "traceparent"

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Trace:
    """What ties together the log lines of one request, on every service that it passes (W3C Trace Context)."""

    request_id: str
    trace_id: str
    span_id: str

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-01"


def start_trace(request_id: str = "", traceparent: str = "") -> Trace:
    """A new span of the trace that a caller named, or of a new one where it named none that is well formed."""
    parent = _TRACEPARENT.fullmatch(traceparent)
    return Trace(
        request_id=request_id if _REQUEST_ID.fullmatch(request_id) else secrets.token_hex(8),
        trace_id=parent.group(1) if parent else secrets.token_hex(16),
        span_id=secrets.token_hex(8),
    )


current_trace: ContextVar[Trace | None] = ContextVar("current_trace", default=None)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, service, message, the trace, and what `log` was given."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if trace := current_trace.get():
            entry |= {"request_id": trace.request_id, "trace_id": trace.trace_id}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def start_logging(service: str, level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Its debug lines hold statements with their values.
    logging.getLogger("aiosqlite").setLevel(logging.INFO)


def log(logger: logging.Logger, level: int, message: str, **fields: object) -> None:
    logger.log(level, message, extra={"fields": fields})
