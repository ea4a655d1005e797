"""Merging, whatever the order of arrivals and looks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.conversation.v1 import conversation_service_pb2 as pb
from services.chassis.errors import DomainError, Reason, to_status
from services.edge.watch import Delta, Ended, Heartbeat, Watch


def watch(cursor: str = "") -> Watch:
    return Watch(pb.StartWatch(watch_id="w", account_id="a", reply=pb.WatchReplyRequest(start_cursor=cursor)))


def delta(text: str, cursor: str) -> pb.WatchEvent:
    return pb.WatchEvent(watch_id="w", cursor=cursor, delta=pb.ReplyDelta(text=text))


def queued(position: int) -> pb.WatchEvent:
    return pb.WatchEvent(watch_id="w", heartbeat=pb.ReplyHeartbeat(queue_position=position))


ENDED = pb.WatchEvent(watch_id="w", cursor="end", ended=pb.ReplyEnded())


@given(st.lists(st.one_of(st.text(min_size=1, max_size=5), st.just(None))))
@settings(deadline=None)
def test_a_reader_gets_every_byte_once_however_seldom_he_looks(steps: list[str | None]) -> None:
    """A text arrives; None is a look."""
    one, sent, seen = watch(), "", ""
    for step in steps:
        if step is None:
            event = one.take() or one.heartbeat()
            assert isinstance(event, Delta if sent != seen else Heartbeat)
            seen += event.text if isinstance(event, Delta) else ""
            assert (event.cursor, seen) == (str(len(sent)) if sent else "", sent)
        else:
            sent += step
            one.receive(delta(step, str(len(sent))))
        # Wherever the stream is lost, the next one goes on behind all that arrived.
        assert one.start().start.reply.start_cursor == (str(len(sent)) if sent else "")
    one.receive(ENDED)
    if sent != seen:
        last = one.take()
        assert isinstance(last, Delta)
        # Whoever comes back with this cursor must still be told of the end.
        assert (seen + last.text, last.cursor) == (sent, str(len(sent)))
    assert isinstance(one.take(), Ended)


def test_a_failure_comes_after_the_text_before_it() -> None:
    one = watch("5")
    one.receive(delta("so far", "11"))
    one.receive(pb.WatchEvent(watch_id="w", failure=to_status(DomainError(Reason.NOT_FOUND, "Gone."))))
    assert one.over
    assert one.take() == Delta("11", "so far")
    with pytest.raises(DomainError, match="NOT_FOUND"):
        one.take()


def test_places_in_the_queue() -> None:
    one = watch()
    assert one.heartbeat() == Heartbeat("", None)
    one.receive(queued(3))
    one.receive(queued(1))
    assert one.take() == Heartbeat("", 1)
    assert one.take() is None
    assert one.heartbeat() == Heartbeat("", 1)
    one.receive(delta("Hi", "2"))
    assert one.take() == Delta("2", "Hi")
    assert one.take() is None
    assert one.heartbeat() == Heartbeat("2", None)
