"""API keys: how programs come in."""

from datetime import datetime

import strawberry

from parley.auth.v1 import account_service_pb2 as pb
from services.chassis.times import to_datetime, to_timestamp
from services.edge.paging import Cursors, Fetched, page_size, read_slice
from services.edge.schema.absent import ABSENT, given
from services.edge.schema.connection import Connection
from services.edge.schema.described import described
from services.edge.schema.info import Info

PAGE_LIMIT = 100
"""Of ListApiKeys."""
CURSORS = Cursors("apiKeys")


@strawberry.type(description="An API key, without its secret.")
class ApiKey:
    id: strawberry.ID
    display_name: str
    secret_prefix: str = strawberry.field(description="The first characters of the secret, to tell keys apart.")
    create_time: datetime
    expire_time: datetime | None = strawberry.field(description="When it stops working; null for never.")

    @classmethod
    def of(cls, key: pb.ApiKey) -> "ApiKey":
        return cls(
            id=strawberry.ID(key.api_key_id),
            display_name=key.display_name,
            secret_prefix=key.secret_prefix,
            create_time=to_datetime(key.create_time),
            expire_time=to_datetime(key.expire_time) if key.HasField("expire_time") else None,
        )


@strawberry.input
class CreateApiKeyInput:
    display_name: str
    expire_time: datetime | None = ABSENT


@strawberry.type
class CreateApiKeyPayload:
    api_key: ApiKey
    secret: str = strawberry.field(description="The key itself: it is shown here and nowhere else.")


@strawberry.type
class ApiKeyQuery:
    @described
    @strawberry.field
    async def api_keys(self, info: Info, first: int | None = 20, after: str | None = ABSENT) -> Connection[ApiKey]:
        """The viewer's API keys, newest first."""
        context = info.context
        size = page_size("first", first, 20, context.house.config.max_page_size)

        async def fetch(token: str, size: int) -> Fetched[pb.ApiKey]:
            request = pb.ListApiKeysRequest(page_size=size, page_token=token)
            answer = await context.call(context.mesh.auth, context.mesh.accounts.ListApiKeys, request)
            return Fetched(answer.api_keys, answer.next_page_token)

        page = await read_slice(fetch, CURSORS.read(given(after)), size, PAGE_LIMIT)
        return Connection.forwards(page, CURSORS.write, ApiKey.of, started=bool(after))


@strawberry.type
class ApiKeyMutation:
    @strawberry.mutation
    async def create_api_key(self, info: Info, input: CreateApiKeyInput) -> CreateApiKeyPayload:  # noqa: A002
        context = info.context
        request = pb.CreateApiKeyRequest(display_name=input.display_name)
        if expire_time := given(input.expire_time):
            request.expire_time.CopyFrom(to_timestamp(expire_time))
        answer = await context.call(context.mesh.auth, context.mesh.accounts.CreateApiKey, request)
        return CreateApiKeyPayload(api_key=ApiKey.of(answer.api_key), secret=answer.secret)

    @strawberry.mutation
    async def revoke_api_key(self, info: Info, id: strawberry.ID) -> strawberry.ID:  # noqa: A002
        context = info.context
        request = pb.RevokeApiKeyRequest(api_key_id=id)
        await context.call(context.mesh.auth, context.mesh.accounts.RevokeApiKey, request)
        return id
