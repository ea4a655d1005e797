"""The checker finds what it is there to find: histories of one reply, each with one thing wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from services.chassis.ids import new_id
from services.conversation.cursor import seal
from tests.chaos.check import PROMISES, violations
from tests.chaos.record import Asked, Event, History, Question, Standing

QUESTION = Question("tell zqann", 7)
TEXT = "a quiet sea, zqann"


@dataclass(slots=True)
class Case:
    """A history in which all is well, to be spoilt."""

    asked: Asked
    history: History
    standing: Standing

    def row(self, message_id: str, **changed: Any) -> None:
        self.stand(rows={**self.standing.rows, message_id: {**self.standing.rows[message_id], **changed}})

    def stand(self, **changed: Any) -> None:
        self.standing = replace(self.standing, **changed)

    def hear(self, place: int, **changed: Any) -> None:
        self.history.events[place] = replace(self.history.events[place], **changed)

    @property
    def reply(self) -> Mapping[str, Any]:
        return self.standing.rows[self.asked.reply_id]


@pytest.fixture
def case() -> Case:
    asked = Asked("ann", new_id(), new_id(), new_id(), None, QUESTION, 1.0, 2.0)
    said = {"status": "COMPLETED", "finishReason": None, "failureReason": None, "usage": None, "parentId": None}
    message = {**said, "id": asked.message_id, "role": "USER", "text": QUESTION.text, "siblingIds": [asked.message_id]}
    reply = {**said, "id": asked.reply_id, "role": "ASSISTANT", "text": TEXT, "siblingIds": [asked.reply_id]}
    reply |= {"finishReason": "STOP", "parentId": asked.message_id}
    rows: dict[str, dict[str, Any]] = {asked.message_id: message, asked.reply_id: reply}
    rows[asked.reply_id]["usage"] = {"promptTokens": 3, "completionTokens": 4}
    history = History({"ann": "zqann", "bob": "zqbob"}, {("ann", QUESTION): TEXT}, [asked])
    for watcher in (1, 2):
        parts, read = (TEXT[:5], TEXT[5:]), 0
        for part in parts:
            read += len(part)
            history.events.append(Event(watcher, asked.reply_id, seal(asked.reply_id, read), 3.0, part))
        end = Event(watcher, asked.reply_id, seal(asked.reply_id, read), 4.0, ended=rows[asked.reply_id])
        history.events.append(end)
    standing = Standing(rows, {"ann": 7, "bob": 0}, {"ann": 0, "bob": 0}, 0, 0, ())
    return Case(asked, history, standing)


def test_nothing_is_wrong_with_a_good_run(case: Case) -> None:
    assert violations(case.history, case.standing) == []


def _lose_a_message(case: Case) -> None:
    case.stand(rows={case.asked.reply_id: case.reply})


def _lose_a_reply(case: Case) -> None:
    case.stand(rows={case.asked.message_id: case.standing.rows[case.asked.message_id]})


def _break(case: Case) -> None:
    """The end says what is stored, and both are not what they shall be."""
    changed = {"status": "FAILED", "failureReason": "ENGINE_FAILED"}
    case.row(case.asked.reply_id, **changed)
    for place in (2, 5):
        case.hear(place, ended=case.reply)


def _say_another_thing(case: Case) -> None:
    case.history.unbroken["ann", QUESTION] = "another"


def _stop_elsewhere(case: Case) -> None:
    """It was stopped; what there is of it is no beginning of it."""
    case.history.cancelled.add(case.asked.reply_id)
    case.row(case.asked.reply_id, status="CANCELLED")
    _say_another_thing(case)


WRONGS: dict[str, list[Callable[[Case], object]]] = {
    "an acknowledged message is readable": [
        _lose_a_message,
        _lose_a_reply,
        lambda case: case.row(case.asked.message_id, text="another"),
        lambda case: case.row(case.asked.message_id, parentId=new_id()),
        lambda case: case.row(case.asked.reply_id, parentId=new_id()),
    ],
    "nothing is there twice": [
        lambda case: case.row(case.asked.message_id, siblingIds=[case.asked.message_id, new_id()]),
        lambda case: case.row(case.asked.reply_id, siblingIds=[case.asked.reply_id, new_id()]),
    ],
    "a reply has one end": [
        lambda case: case.history.events.append(case.history.events[-1]),
        lambda case: case.history.events.append(case.history.events[-2]),
        lambda case: case.hear(2, ended={**case.reply, "status": "CANCELLED"}),
        lambda case: case.history.events.clear(),
    ],
    "deltas add up to the stored text": [
        lambda case: case.history.events.insert(1, case.history.events[0]),
        lambda case: case.history.events.pop(1),
        lambda case: case.hear(0, text="A" + TEXT[1:5]),
        lambda case: case.row(case.asked.reply_id, text=TEXT + "."),
    ],
    "a cursor is where its reader is": [
        lambda case: case.hear(0, cursor=seal(case.asked.reply_id, 4)),
        lambda case: case.hear(0, cursor=seal(new_id(), 5)),
    ],
    "a reply is what it would have been": [_break, _say_another_thing, _stop_elsewhere],
    "a reply is charged once": [
        lambda case: case.stand(charged={"ann": 14, "bob": 0}),
        lambda case: case.stand(charged={"ann": 0, "bob": 7}),
        lambda case: case.stand(reserved={"ann": 5, "bob": 0}),
    ],
    "nobody sees anothers bytes": [lambda case: case.history.received.append(("bob", "... zqann ..."))],
    "nothing is left running": [lambda case: case.stand(queued=1), lambda case: case.stand(busy=1)],
    "nobody is refused for good": [lambda case: case.history.failures.append("gave up")],
    "no process meets what it does not expect": [lambda case: case.stand(errors=("Traceback",))],
}


@pytest.mark.parametrize(
    ("promise", "spoil"), [(promise, spoil) for promise, wrongs in WRONGS.items() for spoil in wrongs]
)
def test_a_broken_promise_is_found(promise: str, spoil: Callable[[Case], object], case: Case) -> None:
    spoil(case)
    assert promise in {found.partition(":")[0] for found in violations(case.history, case.standing)}


def test_every_promise_is_broken_by_some_case() -> None:
    assert {promise.__name__.replace("_", " ") for promise in PROMISES} == set(WRONGS)


def test_a_reply_that_was_stopped_may_be_a_beginning(case: Case) -> None:
    case.history.cancelled.add(case.asked.reply_id)
    case.history.unbroken["ann", QUESTION] = TEXT + " and more"
    case.row(case.asked.reply_id, status="CANCELLED")
    for place in (2, 5):
        case.hear(place, ended=case.reply)
    assert violations(case.history, case.standing) == []
