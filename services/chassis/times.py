"""Times between records and protos."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp


def to_datetime(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)


def to_timestamp(time: datetime) -> Timestamp:
    """A time without a zone is one in UTC."""
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
