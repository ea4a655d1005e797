"""Whatever clients write, they get an answer or a refusal."""

import json
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import DomainError, Reason
from services.edge.errors import Refused
from services.edge.negotiation import GRAPHQL_JSON, JSON, accepted, require_json
from services.edge.origin import is_ours
from services.edge.request import read_json, read_request
from services.edge.session import SessionCookie, bearer

HEADERS = st.one_of(
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0")),
    st.lists(st.sampled_from([JSON, GRAPHQL_JSON, "*/*", "text/*", ";q=", "0.5", ",", "=", '"', " ", "charset"])).map(
        "".join
    ),
)


T = TypeVar("T")


def status(read: Callable[[T], object], value: T) -> int:
    """Of the refusal; 200 for what is taken."""
    try:
        read(value)
    except Refused as refused:
        return refused.status
    except DomainError as error:
        return 401 if error.reason is Reason.UNAUTHENTICATED else 500
    return 200


@given(HEADERS)
def test_any_header(header: str) -> None:
    assert status(accepted, header) in (200, 406)
    assert status(require_json, header) in (200, 415)
    assert status(bearer, header) in (200, 401)
    is_ours({"origin": header, "host": "edge"})
    is_ours({"origin": "https://edge", "host": header})
    SessionCookie(secure=True).read({"__Host-parley": header})


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_any_body(body: bytes) -> None:
    with pytest.raises(Refused):
        read_request(read_json(body))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["query", "variables", "operationName", "extensions"]), JSON_VALUES))
def test_any_object(value: dict[str, object]) -> None:
    read = read_json(json.dumps(value))
    assert read == value
    assert status(read_request, read) in (200, 400)


def test_weights_and_wild_cards() -> None:
    assert accepted(None).answer == JSON
    assert accepted(f"{GRAPHQL_JSON};q=0.1, {JSON};q=0.2").answer == JSON
    assert accepted(f"{JSON};q=0, */*").answer == GRAPHQL_JSON
    assert accepted("text/event-stream").answer is None
    assert accepted("text/event-stream, */*;q=0.1") == accepted("*/*, text/event-stream")
    with pytest.raises(Refused):
        accepted(f"{JSON};q=0")
