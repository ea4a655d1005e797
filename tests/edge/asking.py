"""One operation over HTTP."""

from typing import Any

import httpx

ACCEPT = "application/graphql-response+json"


async def ask(client: httpx.AsyncClient, query: str, **variables: object) -> dict[str, Any]:
    """The whole answer."""
    response = await client.post("/graphql", json={"query": query, "variables": variables}, headers={"accept": ACCEPT})
    answer: dict[str, Any] = response.json()
    return answer


async def data(client: httpx.AsyncClient, query: str, **variables: object) -> dict[str, Any]:
    """The data of an answer without errors."""
    answer = await ask(client, query, **variables)
    assert "errors" not in answer, answer
    found: dict[str, Any] = answer["data"]
    return found


async def error(client: httpx.AsyncClient, query: str, **variables: object) -> dict[str, Any]:
    """The extensions of an answer's one error."""
    answer = await ask(client, query, **variables)
    assert len(answer.get("errors", [])) == 1, answer
    found: dict[str, Any] = answer["errors"][0]["extensions"]
    return found


async def new_conversation(client: httpx.AsyncClient, **given: object) -> str:
    answer = await data(
        client, "mutation($input: CreateConversationInput!) { createConversation(input: $input) { id } }", input=given
    )
    found: str = answer["createConversation"]["id"]
    return found


async def send(client: httpx.AsyncClient, conversation_id: str, text: str = "Hello", **given: object) -> str:
    """The id of the reply."""
    answer = await data(
        client,
        "mutation($input: SendMessageInput!) { sendMessage(input: $input) { reply { id } } }",
        input={"conversationId": conversation_id, "text": text, **given},
    )
    found: str = answer["sendMessage"]["reply"]["id"]
    return found
