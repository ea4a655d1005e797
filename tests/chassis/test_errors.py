"""An error is the same before and after the wire."""

import grpc
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import CODE_OF, DOMAIN, DomainError, Reason, from_status, to_status

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
ERRORS = st.builds(
    DomainError,
    reason=st.sampled_from(Reason),
    message=st.text(max_size=50),
    metadata=st.dictionaries(NAMES, st.text(max_size=20), max_size=3),
    fields=st.dictionaries(NAMES, st.text(max_size=20), max_size=3),
    retry_after=st.none() | st.integers(0, 10_000).map(lambda n: n / 8),
)


@given(ERRORS)
def test_an_error_comes_out_of_its_status_as_it_went_in(error: DomainError) -> None:
    back = from_status(status_pb2.Status.FromString(to_status(error).SerializeToString()))
    for name in ("reason", "message", "metadata", "fields", "retry_after"):
        assert getattr(back, name) == getattr(error, name)


@given(ERRORS)
def test_a_status_has_one_error_info_of_our_domain(error: DomainError) -> None:
    infos = [detail for detail in to_status(error).details if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    assert len(infos) == 1
    info = error_details_pb2.ErrorInfo.FromString(infos[0].value)
    assert (info.reason, info.domain) == (error.reason, DOMAIN)


def test_every_reason_has_a_code_that_is_an_error() -> None:
    assert set(CODE_OF) == set(Reason)
    assert grpc.StatusCode.OK not in CODE_OF.values()


def test_a_foreign_status_gets_the_reason_of_its_code() -> None:
    codes = {
        grpc.StatusCode.NOT_FOUND: Reason.NOT_FOUND,
        grpc.StatusCode.RESOURCE_EXHAUSTED: Reason.LIMIT_EXCEEDED,
        grpc.StatusCode.UNAVAILABLE: Reason.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS: Reason.INTERNAL,
        grpc.StatusCode.INTERNAL: Reason.INTERNAL,
    }
    for code, reason in codes.items():
        assert from_status(status_pb2.Status(code=code.value[0])).reason is reason
