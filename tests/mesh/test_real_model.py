"""The mesh as it comes: the bundled model answers."""

from pathlib import Path

import pytest

from tests.mesh.person import Person
from tests.mesh.running import mesh


@pytest.mark.timeout(300)  # the first start on a machine converts the model
async def test_the_capital_of_france(tmp_path: Path) -> None:
    async with mesh(tmp_path / "data") as running:
        ann = Person(running.url, running.api_key)
        conversation_id = await ann.new_conversation()
        sent = await ann.send(conversation_id, "What is the capital of France?", parameters={"temperature": 0})
        reply_id = sent["reply"]["id"]
        read = await ann.read_some(conversation_id, reply_id, 5)
        assert read.ended is None  # it streams
        read = await ann.read(conversation_id, reply_id, read)
        assert "Paris" in read.text
        whole = await ann.read(conversation_id, reply_id)
        assert whole.ended is not None
        assert read.text == whole.text == whole.ended["text"]
        await ann.close()
