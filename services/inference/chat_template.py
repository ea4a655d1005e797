"""A chat template's text and the messages' own, kept apart: what a person wrote never meets the template.

The template is rendered with a placeholder for each message. What it puts around the placeholders is its own text, in
which special tokens mean something; what the placeholders stand for is filled in afterwards, as text alone.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

from jinja2 import TemplateError

from services.chassis.errors import DomainError
from services.inference.engine import ChatMessage, Role, invalid

Render = Callable[[list[dict[str, str]], bool], str]
"""Applies a template to messages ({"role", "content"}); the flag opens the assistant's turn."""

_EDGE = "\u2003"
"""White space on both sides of a placeholder: where the template strips it, the text is stripped as well."""
_PLACEHOLDER = re.compile(f"({_EDGE}?)\ue000([0-9]+)\ue001({_EDGE}?)")


@dataclass(frozen=True, slots=True)
class Share:
    """A message as the template frames it."""

    message: int
    """Its place in the prompt."""
    before: str
    text: str
    """As it was written, or stripped where the template strips."""
    after: str


@dataclass(frozen=True, slots=True)
class Frame:
    """A prompt: what stands before the messages, each of them, and the opening of the assistant's turn."""

    preamble: str
    shares: tuple[Share, ...]
    opening: str


@dataclass(frozen=True, slots=True)
class _Slot:
    message: int
    text: str
    begin: int
    end: int


def frame(render: Render, messages: Sequence[ChatMessage]) -> Frame:
    """Applies a template. Raises INVALID_ARGUMENT where it refuses the messages, or leaves one out."""
    rendered = _render(render, messages, opened=True)
    slots = _slots(rendered, messages)
    if sorted(slot.message for slot in slots) != list(range(len(messages))):
        raise invalid("chat.messages", "must be a chat that the model's template knows")
    closings = _closings(render, messages)
    literals = [rendered[left.end : right.begin] for left, right in pairwise(slots)]
    literals.append(rendered[slots[-1].end :])
    roles = [messages[slot.message].role for slot in slots]
    afters = [_common(text, closings[role]) for text, role in zip(literals, roles, strict=True)]
    openings = [text.removeprefix(after) for text, after in zip(literals, afters, strict=True)]
    preamble, first = _split_preamble(rendered[: slots[0].begin], roles, openings)
    shares = [
        Share(slot.message, before, slot.text, after)
        for slot, before, after in zip(slots, [first, *openings], afters, strict=False)
    ]
    return Frame(preamble, tuple(shares), openings[-1])


def _render(render: Render, messages: Sequence[ChatMessage], *, opened: bool) -> str:
    marked = [
        {"role": each.role.value, "content": f"{_EDGE}\ue000{place}\ue001{_EDGE}"}
        for place, each in enumerate(messages)
    ]
    try:
        return render(marked, opened)
    except TemplateError as error:
        raise invalid("chat.messages", f"must suit the model's chat template, which says: {error.message}") from None


def _slots(rendered: str, messages: Sequence[ChatMessage]) -> list[_Slot]:
    slots = []
    for found in _PLACEHOLDER.finditer(rendered):
        left, number, right = found.groups()
        text = messages[int(number)].text
        text = text if left else text.lstrip()
        slots.append(_Slot(int(number), text if right else text.rstrip(), found.start(), found.end()))
    return slots


def _closings(render: Render, messages: Sequence[ChatMessage]) -> dict[Role, str]:
    """What the template writes after a message of each role, when nothing follows."""
    closings: dict[Role, str] = {}
    for place, message in enumerate(messages):
        if message.role not in closings:
            closings[message.role] = _tail(render, messages[: place + 1])
    return closings


def _tail(render: Render, messages: Sequence[ChatMessage]) -> str:
    try:
        rendered = _render(render, messages, opened=False)
    except DomainError:
        return ""  # the template refuses a chat that ends here
    return _PLACEHOLDER.split(rendered)[-1]


def _common(one: str, other: str) -> str:
    """The beginning that both have."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(char for char, _ in same)


def _split_preamble(literal: str, roles: Sequence[Role], openings: Sequence[str]) -> tuple[str, str]:
    """What stands before the first message: the prompt's own part, and the message's."""
    later = [opening for role, opening in zip(roles[1:], openings, strict=False) if role is roles[0]]
    if not later:
        return "", literal
    own = later[0] if literal.endswith(later[0]) else ""
    return literal.removesuffix(own), own
