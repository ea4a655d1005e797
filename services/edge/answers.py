"""A subscription's answers, as JSON: executed where they differ, copied where they are alike."""

from collections.abc import Awaitable, Callable

from services.edge.encoding import encode
from services.edge.errors import Wire
from services.edge.schema.reply import ReplyDelta, ReplyHeartbeat
from services.edge.template import DeltaTemplate


class Answers:
    def __init__(self, execute: Callable[[object], Awaitable[Wire]]) -> None:
        """`execute` makes the document's answer to an event."""
        self._execute = execute
        self._template: DeltaTemplate | None = None
        self._heartbeat: tuple[ReplyHeartbeat, str] | None = None
        """The last one: of a reply that waits, each is as the one before."""

    async def to(self, event: object) -> str:
        if isinstance(event, ReplyDelta):
            self._template = self._template or DeltaTemplate(await self._execute(DeltaTemplate.MARKED))
            return self._template.fill(event)
        if not isinstance(event, ReplyHeartbeat):
            return encode(await self._execute(event))
        if self._heartbeat is None or self._heartbeat[0] != event:
            self._heartbeat = event, encode(await self._execute(event))
        return self._heartbeat[1]
