import subprocess

from graphql import BreakingChangeType, build_schema, find_breaking_changes

from services.edge.schema import SDL
from services.edge.sdl import FILE

PATH = "services/edge/schema.graphql"


def git(*arguments: str) -> str | None:
    """What git says, or None where it knows nothing."""
    result = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return result.stdout if result.returncode == 0 else None


def test_the_committed_sdl_is_the_schemas() -> None:
    assert FILE.read_text() == SDL, "Run `python -m services.edge.sdl` and commit services/edge/schema.graphql."


def published() -> dict[str, str]:
    """The SDLs that clients may have been built against: of the newest release before this commit (there being none, of
    the parent commit), and of this commit, which may have changes on top."""
    release = (git("describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD~1") or "HEAD~1").strip()
    found = {revision: git("show", f"{revision}:{PATH}") for revision in (release, "HEAD")}
    return {revision: sdl for revision, sdl in found.items() if sdl is not None}


def test_nothing_that_clients_rely_on_is_broken() -> None:
    for revision, sdl in published().items():
        changes = find_breaking_changes(build_schema(sdl), build_schema(SDL))
        assert not changes, (revision, [change.description for change in changes])


def test_a_break_would_be_noticed() -> None:
    broken = SDL.replace("  edges: [ApiKeyEdge!]!\n", "").replace("text: String!", "text: String")
    kinds = {change.type for change in find_breaking_changes(build_schema(SDL), build_schema(broken))}
    assert kinds == {BreakingChangeType.FIELD_REMOVED, BreakingChangeType.FIELD_CHANGED_KIND}


CONTRACT = """
type Query {
  viewer: Viewer!
  models: [Model!]!
  conversation(id: ID!): Conversation
  conversations(first: Int = 20, after: String, filter: ConversationFilter): ConversationConnection!
  message(id: ID!, conversationId: ID!): Message
}
type Viewer { id: ID! displayName: String! email: String! roles: [String!]! usage: Usage }
type Usage { usedTokens: BigInt! }
scalar BigInt
type Model { id: ID! displayName: String! contextLength: Int! ready: Boolean! }
scalar DateTime
input ConversationFilter { archived: Boolean }
type ConversationConnection { nodes: [Conversation!]! pageInfo: PageInfo! }
type MessageConnection { nodes: [Message!]! pageInfo: PageInfo! }
type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
type Conversation {
  id: ID! displayName: String! model: String! systemPrompt: String createTime: DateTime! updateTime: DateTime!
  currentLeafId: ID
  messages(leafId: ID, last: Int = 50, before: String): MessageConnection!
}
type Message {
  id: ID! conversationId: ID! parentId: ID role: Role! text: String! status: MessageStatus!
  model: String finishReason: FinishReason usage: TokenUsage createTime: DateTime!
  siblingIds: [ID!]!
  contextStartId: ID
}
enum Role { SYSTEM USER ASSISTANT TOOL }
enum MessageStatus { IN_PROGRESS COMPLETED CANCELLED FAILED }
enum FinishReason { STOP LENGTH CANCELLED ERROR }
type TokenUsage { promptTokens: Int! completionTokens: Int! }
type Mutation {
  signIn(input: SignInInput!): Viewer!
  signOut: Boolean!
  createAccount(input: CreateAccountInput!): Viewer!
  createApiKey(input: CreateApiKeyInput!): CreateApiKeyPayload!
  revokeApiKey(id: ID!): ID!
  createConversation(input: CreateConversationInput!): Conversation!
  updateConversation(input: UpdateConversationInput!): Conversation!
  deleteConversation(id: ID!): ID!
  sendMessage(input: SendMessageInput!): SendMessagePayload!
  regenerateReply(input: RegenerateReplyInput!): Message!
  cancelReply(messageId: ID!, conversationId: ID!): Message!
  exportAccount: ExportAccountPayload!
  deleteAccount(input: DeleteAccountInput!): DeleteAccountPayload!
}
type ExportAccountPayload { url: String! }
input DeleteAccountInput { confirmation: String! password: String! }
type DeleteAccountPayload { receipt: [DeletedRecords!]! }
type DeletedRecords { store: String! kind: String! count: BigInt! }
input SignInInput { email: String! password: String! }
input CreateAccountInput { email: String! password: String! displayName: String! }
input CreateApiKeyInput { displayName: String! }
type CreateApiKeyPayload { apiKey: ApiKey! secret: String! }
type ApiKey { id: ID! displayName: String! createTime: DateTime! }
input CreateConversationInput { id: ID displayName: String model: String systemPrompt: String }
input UpdateConversationInput {
  id: ID! displayName: String model: String systemPrompt: String currentLeafId: ID pinned: Boolean archived: Boolean
  etag: String
}
type SendMessagePayload { userMessage: Message! reply: Message! }
input SendMessageInput {
  conversationId: ID! parentId: ID text: String! messageId: ID replyId: ID
  model: String parameters: GenerationParameters
}
input GenerationParameters { temperature: Float topP: Float maxOutputTokens: Int seed: Int stop: [String!] }
input RegenerateReplyInput {
  conversationId: ID! messageId: ID! replyId: ID model: String parameters: GenerationParameters
}
type Subscription { reply(conversationId: ID!, messageId: ID!, after: String): ReplyEvent! }
union ReplyEvent = ReplyDelta | ReplyEnded | ReplyHeartbeat
type ReplyDelta { cursor: String! text: String! }
type ReplyEnded { cursor: String! message: Message! }
type ReplyHeartbeat { cursor: String! queuePosition: Int }
"""


def test_every_name_of_the_contract_is_there() -> None:
    assert find_breaking_changes(build_schema(CONTRACT), build_schema(SDL)) == []
