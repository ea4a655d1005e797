"""Reading a list from its end, whatever its pages, and while they change."""

from hypothesis import given
from hypothesis import strategies as st

from parley.history.v1.history_service_pb2 import ListMessagesResponse, Message
from services.edge.export.backwards import oldest_first


class Pages:
    """A list of `count` messages, newest first; each page is as long as the next of `sizes` says."""

    def __init__(self, count: int, sizes: list[int]) -> None:
        self.ids = [f"{number:05}" for number in range(count, 0, -1)]
        self._sizes, self.asked = sizes, 0

    async def fetch(self, token: str) -> ListMessagesResponse:
        start = int(token or 0)
        end = start + self._sizes[self.asked % len(self._sizes)]
        self.asked += 1
        some = [Message(message_id=message_id) for message_id in self.ids[start:end]]
        return ListMessagesResponse(messages=some, next_page_token=str(end) if end < len(self.ids) else "")


async def read(pages: Pages) -> list[str]:
    return [message.message_id async for part in oldest_first(pages.fetch) for message in part]


@given(count=st.integers(0, 60), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=20))
async def test_every_message_once_and_in_order_however_pages_fall(count: int, sizes: list[int]) -> None:
    pages = Pages(count, sizes)
    assert await read(pages) == sorted(pages.ids)


async def test_a_short_list_is_read_once() -> None:
    pages = Pages(5, [5])
    assert len(await read(pages)) == 5
    assert pages.asked == 1


async def test_a_list_that_is_deleted_meanwhile_ends() -> None:
    pages = Pages(30, [5])
    parts = oldest_first(pages.fetch)
    assert [message.message_id for message in await anext(parts)] == ["00001", "00002", "00003", "00004", "00005"]
    pages.ids = []
    assert [message async for part in parts for message in part] == []
