"""HTTP to an upstream: every wait has an end, and every fault a type."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType

import httpx

from services.inference.upstream.dialect import Json, malformed
from services.inference.upstream.events import read_events
from services.inference.upstream.refusals import lost, refusal

MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""Of an answer that is not a stream: /metrics has thousands of lines."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """In seconds."""

    connect: float
    answer: float
    """For everything but generations."""
    first_token: float
    """The upstream's own queue and the prompt included."""
    next_token: float


class Connection:
    """An upstream. Open while its `async with` block runs."""

    def __init__(self, url: str, api_key: str, deadlines: Deadlines, streams: int) -> None:
        """`streams` bounds those that are open at once."""
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._deadlines = deadlines
        self._client = httpx.AsyncClient(
            # Both are said: with and without /v1, as OpenAI's clients have it.
            base_url=url.rstrip("/").removesuffix("/v1"),
            headers=headers,
            limits=httpx.Limits(max_connections=streams + 2, max_keepalive_connections=streams + 2),
            timeout=httpx.Timeout(deadlines.connect, read=None),
            trust_env=False,
        )

    async def __aenter__(self) -> "Connection":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def get(self, path: str) -> bytes | None:
        """What is there; None if there is no such path. Raises UNAVAILABLE, ENGINE_OVERLOADED, ENGINE_FAILED."""
        try:
            async with asyncio.timeout(self._deadlines.answer), self._client.stream("GET", path) as response:
                body = await _whole(response)
        except (httpx.HTTPError, TimeoutError):
            raise lost("The upstream does not answer.") from None
        if response.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED):
            return None
        if response.status_code != HTTPStatus.OK:
            raise refusal(response.status_code, response.headers, body)
        return body

    async def stream(self, path: str, body: Json, take: Callable[[Json], bool]) -> None:
        """Asks, and gives `take` each event until it has enough or the stream ends, however that came.

        Leaving early closes the connection, which aborts the request there. Raises what `refusal` makes of a status,
        UNAVAILABLE for a connection that breaks or falls silent, and ENGINE_FAILED for what cannot be understood.
        """
        loop, deadlines = asyncio.get_running_loop(), self._deadlines
        try:
            async with (
                asyncio.timeout(deadlines.first_token) as patience,
                self._client.stream("POST", path, json=body) as response,
            ):
                if response.status_code != HTTPStatus.OK:
                    raise refusal(response.status_code, response.headers, await _whole(response))
                async for event in read_events(response.aiter_bytes()):
                    patience.reschedule(loop.time() + deadlines.next_token)
                    if event.get("error"):
                        raise lost("The upstream broke in the middle of a reply.")
                    if take(event):
                        return
        except (httpx.HTTPError, TimeoutError):
            raise lost("The upstream's stream broke or fell silent.") from None
        except (KeyError, TypeError, ValueError, AttributeError):
            raise malformed() from None


async def _whole(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise malformed()
    return bytes(body)
