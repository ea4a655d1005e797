from tests.history.contract_conversations import ConversationContract
from tests.history.contract_rows import RowContract


class TestRows(RowContract):
    pass


class TestConversations(ConversationContract):
    pass
