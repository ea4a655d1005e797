"""GET /export: everything that an account owns, as one download.

It needs what any other request needs, but for the CSRF header, which a browser's download cannot have: it changes
nothing, and no page of another site can read it.
"""

import logging
from contextlib import ExitStack
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from services.chassis.errors import DomainError, Reason
from services.chassis.telemetry import log
from services.edge.context import House
from services.edge.errors import BAD_USER_INPUT, Refused, domain_error, refused, status_of
from services.edge.export.archive import Archive
from services.edge.export.export import Export
from services.edge.export.reading import Reading
from services.edge.origin import is_ours
from services.edge.seats import Seats
from services.edge.session import Credential, bearer, unauthenticated
from services.edge.streaming import Cut, StreamingResponse, Write

logger = logging.getLogger(__name__)

_NO_STORE = {"cache-control": "no-store, no-transform"}
_EXTRA_HEADERS = {401: {"www-authenticate": "Bearer"}, 405: {"allow": "GET"}, 503: {"retry-after": "1"}}


class ExportOverHttp:
    def __init__(self, house: House) -> None:
        self._house, config = house, house.config
        self._seats = Seats(
            "exports", per_account=config.max_exports_per_account, total=config.max_exports, metrics=house.metrics
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._respond(Request(scope))
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> ASGIApp:
        try:
            if request.method != "GET":
                raise refused(BAD_USER_INPUT, "Fetch the archive with GET.", 405)
            return await self._export(self._credential(request))
        except Refused as error:
            return _refusal(error.errors, error.status)
        except DomainError as error:
            return _refusal([domain_error(error)], status_of(error))

    def _credential(self, request: Request) -> Credential:
        if credential := bearer(request.headers.get("authorization")):
            return credential
        credential = self._house.cookie.read(request.cookies)
        if credential is None:
            raise unauthenticated()
        if not is_ours(request.headers):
            raise DomainError(Reason.PERMISSION_DENIED, "A download with the session cookie starts on our own pages.")
        return credential

    async def _export(self, credential: Credential) -> ASGIApp:
        house = self._house
        who = await house.sessions.caller(credential)
        with ExitStack() as seat:
            seat.enter_context(self._seats.take(who, "export"))
            reading, made = Reading(house.mesh, house.sessions, credential), datetime.now(UTC)
            # Before the answer begins, so that a mesh that is away can still be told in its status.
            export = Export(reading, await reading.account(), made)

            async def body(write: Write) -> None:
                try:
                    with Archive(made, write) as archive:
                        await export.write(archive)
                except DomainError as error:
                    log(logger, logging.WARNING, "export broke", reason=error.reason)
                    raise Cut from None

            headers = {
                "content-type": "application/zip",
                "content-disposition": f'attachment; filename="parley-{made:%Y-%m-%d}.zip"',
                **_NO_STORE,
            }
            return StreamingResponse(headers, body, seat.pop_all(), house.leaving, house.config.send_seconds)


def _refusal(errors: list[dict[str, object]], status: int) -> ASGIApp:
    return JSONResponse({"errors": errors}, status, {**_NO_STORE, **_EXTRA_HEADERS.get(status, {})})
