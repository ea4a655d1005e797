"""What a subscription answers: executed once where events are alike, and never wrong."""

from hypothesis import given, settings
from hypothesis import strategies as st

from services.edge.answers import Answers
from services.edge.encoding import encode
from services.edge.errors import Wire
from services.edge.schema.reply import ReplyDelta, ReplyHeartbeat

EVENTS = st.one_of(
    st.builds(ReplyDelta, cursor=st.text(), text=st.text()),
    st.builds(ReplyHeartbeat, cursor=st.sampled_from(["", "c"]), queue_position=st.sampled_from([None, 0, 1])),
)


def execute(event: object) -> Wire:
    """As a document that asks for everything, some of it twice."""
    if isinstance(event, ReplyDelta):
        return {"data": {"a": {"__typename": "ReplyDelta", "t": event.text, "c": event.cursor, "again": event.text}}}
    assert isinstance(event, ReplyHeartbeat)
    return {"data": {"a": {"cursor": event.cursor, "queuePosition": event.queue_position}}}


@given(st.lists(EVENTS, max_size=20))
@settings(deadline=None)
async def test_copies_are_what_would_have_been_executed(events: list[ReplyDelta | ReplyHeartbeat]) -> None:
    executed: list[object] = []

    async def counted(event: object) -> Wire:
        executed.append(event)
        return execute(event)

    answers = Answers(counted)
    for event in events:
        assert await answers.to(event) == encode(execute(event))
    assert len([event for event in executed if isinstance(event, ReplyDelta)]) <= 1


async def test_a_heartbeat_like_the_last_is_not_executed_again() -> None:
    executed: list[object] = []

    async def counted(event: object) -> Wire:
        executed.append(event)
        return execute(event)

    answers = Answers(counted)
    for position in (2, 2, 2, 1, None, None):
        await answers.to(ReplyHeartbeat(cursor="", queue_position=position))
    assert len(executed) == 3
