"""The promises, one function each: what in a run's history, and in what the mesh says afterwards, breaks it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from services.chassis.errors import DomainError
from services.conversation.cursor import unseal
from tests.chaos.record import Asked, Event, History, Standing

END = ("id", "parentId", "role", "text", "status", "finishReason", "failureReason")
"""What a terminal event and the stored row say alike."""


def an_acknowledged_message_is_readable(history: History, standing: Standing) -> Iterator[str]:
    for asked in history.asked:
        message, reply = standing.rows.get(asked.message_id), standing.rows.get(asked.reply_id)
        if message is None or reply is None:
            yield f"{_name(asked)}: {'its message' if message is None else 'its reply'} is not there"
        elif (message["text"], message["parentId"]) != (asked.question.text, asked.parent_id):
            yield f"{_name(asked)}: its message is another: {message}"
        elif reply["parentId"] != asked.message_id:
            yield f"{_name(asked)}: its reply follows {reply['parentId']}"


def nothing_is_there_twice(history: History, standing: Standing) -> Iterator[str]:
    replies, messages = defaultdict[str, set[str]](set), defaultdict[tuple[str, str | None], set[str]](set)
    for asked in history.asked:
        replies[asked.message_id].add(asked.reply_id)
        messages[asked.conversation_id, asked.parent_id].add(asked.message_id)
    for asked in history.asked:
        expected = (
            (asked.message_id, messages[asked.conversation_id, asked.parent_id]),
            (asked.reply_id, replies[asked.message_id]),
        )
        for message_id, siblings in expected:
            if (row := standing.rows.get(message_id)) and set(row["siblingIds"]) != siblings:
                yield f"{_name(asked)}: {message_id} stands beside {sorted(row['siblingIds'])}"


def a_reply_has_one_end(history: History, standing: Standing) -> Iterator[str]:
    """The same to each of its watchers, and the last that they hear; it is what is stored."""
    ended = set[str]()
    for reply_id, events in _by_watcher(history):
        ends = [event.ended for event in events if event.ended]
        if len(ends) > 1 or (ends and events[-1].ended is None):
            yield f"{reply_id}: a watcher heard {len(ends)} ends, and more after them"
        stored = _end(standing.rows.get(reply_id, {}))
        for end in ends:
            ended.add(reply_id)
            if _end(end) != stored:
                yield f"{reply_id}: a watcher was told {_end(end)}, and {stored} is stored"
    for asked in history.asked:
        if asked.reply_id not in ended:
            yield f"{_name(asked)}: nobody heard its end"


def deltas_add_up_to_the_stored_text(history: History, standing: Standing) -> Iterator[str]:
    for reply_id, events in _by_watcher(history):
        text = "".join(event.text for event in events)
        if events[-1].ended and text != standing.rows.get(reply_id, {}).get("text"):
            yield f"{reply_id}: a watcher read {text!r}, and {standing.rows.get(reply_id)} is stored"


def a_cursor_is_where_its_reader_is(history: History, _: Standing) -> Iterator[str]:
    for reply_id, events in _by_watcher(history):
        read = 0
        for event in events:
            read += len(event.text.encode())
            try:
                offset = unseal(reply_id, event.cursor)
            except DomainError:
                offset = -1
            if offset != read:
                yield f"{reply_id}: a cursor says {offset} to a watcher who has {read} bytes"
                break


def a_reply_is_what_it_would_have_been(history: History, standing: Standing) -> Iterator[str]:
    for asked in history.asked:
        row, unbroken = standing.rows.get(asked.reply_id), history.unbroken.get((asked.account, asked.question))
        if row is None or unbroken is None:
            continue
        if row["status"] == "CANCELLED" and asked.reply_id in history.cancelled:
            if not unbroken.startswith(row["text"]):
                yield f"{_name(asked)}: stopped at {row['text']!r}, which does not begin {unbroken!r}"
        elif row["status"] != "COMPLETED" or row["text"] != unbroken:
            said = (row["status"], row["failureReason"], row["text"])
            yield f"{_name(asked)}: {said} instead of {unbroken!r}"


def a_reply_is_charged_once(history: History, standing: Standing) -> Iterator[str]:
    due = dict.fromkeys(standing.charged, 0)
    for asked in history.asked:
        usage = (standing.rows.get(asked.reply_id) or {}).get("usage") or {}
        due[asked.account] += usage.get("promptTokens", 0) + usage.get("completionTokens", 0)
    for account, charged in standing.charged.items():
        if charged != due[account]:
            yield f"{account} was charged {charged} tokens for replies of {due[account]}"
        if standing.reserved[account]:
            yield f"{standing.reserved[account]} tokens of {account} stay set aside"


def nobody_sees_anothers_bytes(history: History, _: Standing) -> Iterator[str]:
    for account, text in history.received:
        for other, canary in history.canaries.items():
            if other != account and canary in text:
                yield f"{account} received {other}'s {canary}: {text[:300]}"


def nothing_is_left_running(_: History, standing: Standing) -> Iterator[str]:
    if standing.queued:
        yield f"{standing.queued} turns stay in the queue"
    if standing.busy:
        yield f"{standing.busy} generations stay on the engines"


def nobody_is_refused_for_good(history: History, _: Standing) -> Iterator[str]:
    yield from history.failures


def no_process_meets_what_it_does_not_expect(_: History, standing: Standing) -> Iterator[str]:
    yield from standing.errors


PROMISES: tuple[Callable[[History, Standing], Iterator[str]], ...] = (
    an_acknowledged_message_is_readable,
    nothing_is_there_twice,
    a_reply_has_one_end,
    deltas_add_up_to_the_stored_text,
    a_cursor_is_where_its_reader_is,
    a_reply_is_what_it_would_have_been,
    a_reply_is_charged_once,
    nobody_sees_anothers_bytes,
    nothing_is_left_running,
    nobody_is_refused_for_good,
    no_process_meets_what_it_does_not_expect,
)


def violations(history: History, standing: Standing) -> list[str]:
    return [
        f"{promise.__name__.replace('_', ' ')}: {found}" for promise in PROMISES for found in promise(history, standing)
    ]


def _by_watcher(history: History) -> Iterator[tuple[str, list[Event]]]:
    """Each watcher's events in their order, with the id of the reply."""
    watched = defaultdict[int, list[Event]](list)
    for event in history.events:
        watched[event.watcher].append(event)
    for events in watched.values():
        yield events[0].reply_id, events


def _end(message: Mapping[str, Any]) -> dict[str, Any]:
    return {name: message.get(name) for name in END}


def _name(asked: Asked) -> str:
    return f"{asked.account}'s {asked.reply_id}"
