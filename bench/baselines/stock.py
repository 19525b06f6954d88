"""Stock Strawberry as its documentation shows it: its own WebSocket handler and document caches, and broadcaster."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import strawberry
from broadcaster import Broadcast
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from strawberry.asgi import GraphQL
from strawberry.extensions import ParserCache, ValidationCache

from bench.baselines.serving import serve

broadcast = Broadcast("memory://")
count = 0


@strawberry.type
class User:
    username: str


@strawberry.type
class Message:
    id: strawberry.ID
    seq: int
    body: str
    created_at: datetime
    viewer_can_edit: bool
    author: User


@strawberry.type
class Delivery:
    cursor: str
    message: Message


@strawberry.type
class Query:
    ok: bool = True


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def send_message(self, room_id: strawberry.ID, body: str) -> bool:
        await broadcast.publish(str(room_id), body)
        return True


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def room_messages(self, room_id: strawberry.ID) -> AsyncGenerator[Delivery, None]:
        seq = 0
        async with broadcast.subscribe(str(room_id)) as subscriber:
            async for event in subscriber:  # type: ignore[union-attr]
                seq += 1
                yield Delivery(
                    cursor="AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                    message=Message(
                        id=strawberry.ID("msg_01a1fde4-f66d-727e-816f-ed6a06152a76"),
                        seq=seq,
                        body=event.message,  # type: ignore[union-attr]
                        created_at=datetime.now(UTC),
                        viewer_can_edit=False,
                        author=User(username="ann"),
                    ),
                )


schema = strawberry.Schema(Query, Mutation, Subscription, extensions=[ParserCache, ValidationCache])
graphql = GraphQL(schema, subscription_protocols=("graphql-transport-ws",))


async def health(_request: object) -> PlainTextResponse:
    return PlainTextResponse("ok")


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    await broadcast.connect()
    yield
    await broadcast.disconnect()


app = Starlette(
    routes=[Route("/health", health), Route("/graphql", graphql), WebSocketRoute("/graphql", graphql)],
    lifespan=lifespan,
)

if __name__ == "__main__":
    serve(app)
