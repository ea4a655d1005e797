"""What a journal promises, on whatever Redis it lives."""

from tests.conversation.contract_draft import DraftContract
from tests.conversation.contract_queue import QueueContract


class JournalContract(QueueContract, DraftContract):
    """The fixtures `config` and `journal` say where it lives."""
