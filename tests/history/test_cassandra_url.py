import pytest

from services.chassis.process import RefusedError
from services.history.cassandra.url import Address, parse

SECRET = "s3cret"


def test_everything_in_a_url() -> None:
    url = (
        "cassandra://ann%40x:p%3A%2Fw@h1,h2:9142,[::1]:9242/parley_1"
        "?datacenter=dc-1&replication_factor=5&tls=true&ca_file=/etc/ca.pem&verify_hostname=false"
    )
    assert parse(url) == Address(
        hosts=(("h1", 9042), ("h2", 9142), ("::1", 9242)),
        keyspace="parley_1",
        datacenter="dc-1",
        replication_factor=5,
        user="ann@x",
        password="p:/w",
        tls=True,
        ca_file="/etc/ca.pem",
        verify_hostname=False,
    )


def test_what_may_be_left_out() -> None:
    address = parse("cassandra://localhost/parley?datacenter=dc1")
    assert (address.user, address.password, address.tls, address.replication_factor) == ("", "", False, 3)
    assert address.verify_hostname


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("cassandra://u:s3cret@h?datacenter=dc1", "keyspace"),
        ("cassandra://u:s3cret@h/Upper?datacenter=dc1", "keyspace"),
        ("cassandra://u:s3cret@h/a;drop?datacenter=dc1", "keyspace"),
        ("cassandra://u:s3cret@h/parley", "datacenter"),
        ("cassandra://u:s3cret@h/parley?datacenter=a'b", "datacenter"),
        ("cassandra://u:s3cret@/parley?datacenter=dc1", "host"),
        ("cassandra://u:s3cret@h:x/parley?datacenter=dc1", "host"),
        ("cassandra://u:s3cret@h:99999/parley?datacenter=dc1", "host"),
        ("cassandra://u:s3cret@h,/parley?datacenter=dc1", "host"),
        ("cassandra://u:s3/cret@h/parley?datacenter=dc1", "keyspace"),
        ("cassandra://h/parley?datacenter=dc1&replication_factor=0", "replication_factor"),
        ("cassandra://h/parley?datacenter=dc1&tls=yes", "tls must be true or false"),
        ("cassandra://h/parley?datacenter=dc1&ca_file=/ca.pem", "need tls=true"),
        ("cassandra://h/parley?datacenter=dc1&password=s3cret", "password: no such option"),
        ("cassandra://h/parley?datacenter", "name=value"),
        ("cassandra://u:s3cret\u2100@h/parley?datacenter=dc1", "no URL"),
        ("cassandra://u:p?s3cret@h/parley?datacenter=dc1", "keyspace"),
        ("cassandra://h/parley?datacenter=dc1&s3cret@h/parley?x=dc1", "no such option"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_is_shown(url: str, wrong: str) -> None:
    with pytest.raises(RefusedError, match=f"^PARLEY_STORE_URL: .*{wrong}") as refused:
        parse(url)
    assert SECRET not in str(refused.value)


def test_an_address_that_is_shown_hides_the_password() -> None:
    assert SECRET not in repr(parse(f"cassandra://ann:{SECRET}@h/parley?datacenter=dc1"))
