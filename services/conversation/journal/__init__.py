"""The journal: replies while they are written, and the queue of turns. All of it may vanish without loss."""

from services.conversation.journal.journal import Journal, open_journal

__all__ = ["Journal", "open_journal"]
