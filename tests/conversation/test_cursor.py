import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import DomainError, Reason
from services.chassis.ids import new_id
from services.conversation.cursor import seal, unseal


@given(st.integers(0, 2**32 - 1))
def test_a_cursor_opens_for_its_reply_alone(offset: int) -> None:
    message_id = new_id()
    assert unseal(message_id, seal(message_id, offset)) == offset
    with pytest.raises(DomainError) as refused:
        unseal(new_id(), seal(message_id, offset))
    assert refused.value.reason is Reason.INVALID_CURSOR


@given(st.text(min_size=1))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(DomainError):
        unseal(new_id(), text)


def test_the_empty_cursor_is_the_start() -> None:
    assert unseal(new_id(), "") == 0
