"""The journal's keys. All of a conversation's lie in one shard: one hash tag, so one node of a cluster."""

import binascii
import zlib

from services.conversation.draft import Turn

VERSION = 2
"""Of the keys and what is in them: releases with different versions do not see each other's journals."""
SLOTS = 16_384
"""Parts of every Redis Cluster; each of its nodes has a range of them."""


class Keys:
    """Journals with another prefix or another number of shards share no key with this one."""

    def __init__(self, prefix: str, shards: int) -> None:
        tags = [_tag(shard, shards) for shard in range(shards)]
        self.slots = [_slot(tag) for tag in tags]
        """Where a cluster has each shard."""
        self._heads = [f"{prefix}:{VERSION}:{{{tag}}}" for tag in tags]

    def shard(self, conversation_id: str) -> int:
        return zlib.crc32(conversation_id.encode()) % len(self._heads)

    def record(self, turn: Turn) -> str:
        """A hash: tenant, account, status, epoch, lease, claims, cancel, queue."""
        return self._of(turn.conversation_id, "record", turn.turn_id)

    def text(self, turn: Turn) -> str:
        """A string: the reply's UTF-8."""
        return self._of(turn.conversation_id, "text", turn.turn_id)

    def tokens(self, turn: Turn) -> str:
        """A string: the reply's token ids, 4 bytes each."""
        return self._of(turn.conversation_id, "tokens", turn.turn_id)

    def running(self, turn: Turn) -> str:
        return self.running_in(turn.conversation_id)

    def running_in(self, conversation_id: str) -> str:
        """A set: the ids of a conversation's replies that are queued or being written."""
        return self._of(conversation_id, "running", conversation_id)

    def ended_in(self, conversation_id: str) -> str:
        """A sorted set: the ids of a conversation's replies that ended a short while ago, by the time of their end."""
        return self._of(conversation_id, "ended", conversation_id)

    def of_draft(self, turn: Turn) -> list[str]:
        """All that belongs to a reply while it is written: record, text, tokens, and what runs in its conversation."""
        return [self.record(turn), self.text(turn), self.tokens(turn), self.running(turn)]

    def turns_of(self, turn: Turn) -> str:
        return self.turns(self.shard(turn.conversation_id))

    def channel_of(self, turn: Turn) -> str:
        return self.channel(self.shard(turn.conversation_id))

    def turns(self, shard: int) -> str:
        """A stream: the queue of turns."""
        return f"{self._heads[shard]}:turns"

    def channel(self, shard: int) -> str:
        """Where news of turns are published."""
        return f"{self._heads[shard]}:news"

    def probe(self, shard: int) -> str:
        """Never there: what a check removes."""
        return f"{self._heads[shard]}:probe"

    def _of(self, conversation_id: str, kind: str, name: str) -> str:
        return f"{self._heads[self.shard(conversation_id)]}:{kind}:{name}"


def _tag(shard: int, shards: int) -> str:
    """Its slot lies in the shard's part of all slots, so that shards spread over a cluster as evenly as its slots."""
    attempt = 0
    while _slot(tag := f"{shards}.{shard}.{attempt}") * shards // SLOTS != shard:
        attempt += 1
    return tag


def _slot(tag: str) -> int:
    """CRC-16/XMODEM, as the Redis Cluster specification has it."""
    return binascii.crc_hqx(tag.encode(), 0) % SLOTS
