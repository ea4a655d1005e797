"""What one reader of a reply is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.conversation.v1 import conversation_service_pb2 as pb
from parley.history.v1.history_service_pb2 import Message
from services.chassis.errors import DomainError, Reason
from services.chassis.ids import new_id
from services.conversation.cursor import unseal
from services.conversation.draft import Turn
from services.conversation.hub import Followed
from services.conversation.watch import Watch


def followed() -> Followed:
    return Followed(Turn(new_id(), new_id(), "default", "ann"))


def kinds(events: list[pb.WatchEvent]) -> list[str]:
    return [event.WhichOneof("event") or "" for event in events]


@given(st.lists(st.text(min_size=1, max_size=5), max_size=12), st.lists(st.booleans(), min_size=12, max_size=12))
def test_deltas_are_the_text_however_they_are_merged_and_wherever_the_reader_starts_again(
    pieces: list[str], reads: list[bool]
) -> None:
    reply = followed()
    text, cursor = "", ""
    for piece, reading in zip(pieces, reads, strict=False):
        reply.text += piece.encode()
        if reading:
            watch = Watch("w", reply, unseal(reply.turn.reply_id, cursor))
            for event in watch.events():
                text, cursor = text + event.delta.text, event.cursor
    whole = "".join(pieces)
    reply.end(Message(message_id=reply.turn.reply_id, text=whole))
    last = Watch("w", reply, unseal(reply.turn.reply_id, cursor)).events()
    assert kinds(last)[-1] == "ended"
    assert text + "".join(event.delta.text for event in last) == whole


def test_what_gathered_comes_as_one_delta() -> None:
    reply = followed()
    watch = Watch("w", reply, 0)
    for piece in ("one ", "two ", "three"):
        reply.text += piece.encode()
    [event] = watch.events()
    assert event.delta.text == "one two three"
    assert watch.events() == []


@pytest.mark.parametrize("offset", [1, 99])
def test_an_offset_inside_a_character_or_past_the_end_is_refused(offset: int) -> None:
    reply = followed()
    reply.end(Message(message_id=reply.turn.reply_id, text="ü"))
    with pytest.raises(DomainError) as refused:
        Watch("w", reply, offset).events()
    assert refused.value.reason is Reason.INVALID_CURSOR


def test_an_offset_ahead_of_what_was_read_here_waits() -> None:
    reply = followed()
    reply.text += b"abc"
    watch = Watch("w", reply, 5)
    assert watch.events() == []
    reply.text += b"defg"
    [event] = watch.events()
    assert event.delta.text == "fg"


def test_a_changed_place_in_the_queue_is_told_once() -> None:
    reply = followed()
    watch = Watch("w", reply, 0)
    reply.queue_position = 4
    assert [event.heartbeat.queue_position for event in watch.events()] == [4]
    assert watch.events() == []
