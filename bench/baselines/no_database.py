"""The same sendMessage mutation on stock Strawberry with document caches and no database."""

from datetime import UTC, datetime

import strawberry
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.extensions import ParserCache, ValidationCache

from bench.baselines.serving import serve


@strawberry.type
class UserError:
    code: str


@strawberry.type
class Message:
    id: strawberry.ID
    seq: int


@strawberry.type
class SendMessagePayload:
    errors: list[UserError]
    message: Message | None


@strawberry.input
class SendMessageInput:
    room_id: strawberry.ID
    body: str


@strawberry.type
class Query:
    ok: bool = True


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def send_message(self, input: SendMessageInput) -> SendMessagePayload:  # noqa: A002 (the name in the API)
        return SendMessagePayload(errors=[], message=Message(id=strawberry.ID(f"msg_{datetime.now(UTC)}"), seq=1))


async def health(_request: object) -> PlainTextResponse:
    return PlainTextResponse("ok")


schema = strawberry.Schema(Query, Mutation, extensions=[ParserCache, ValidationCache])
app = Starlette(routes=[Route("/health", health), Route("/graphql", GraphQL(schema))])

if __name__ == "__main__":
    serve(app)
