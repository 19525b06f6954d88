"""sendMessage as a first version would have it: an ORM session per mutation that raises the room's counter, adds the
message and reads it back, one statement each. The database and its settings are the same as for roomcast."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

import strawberry
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.extensions import ParserCache, ValidationCache

from bench.baselines.serving import serve

ROOMS = [UUID(int=number) for number in range(16)]


class Room(SQLModel, table=True):
    __tablename__ = "naive_rooms"
    id: UUID = Field(primary_key=True)
    last_seq: int = 0


class Message(SQLModel, table=True):
    __tablename__ = "naive_messages"
    id: UUID = Field(default_factory=uuid4, primary_key=True)
    room_id: UUID = Field(index=True)
    seq: int
    body: str
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))


engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=10, max_overflow=5)

if engine.dialect.name == "sqlite":  # otherwise it loses updates and fails on a locked database

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection, _record):  # type: ignore[no-untyped-def]
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=20000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begun(connection):  # type: ignore[no-untyped-def]
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@strawberry.type
class Sent:
    id: strawberry.ID
    seq: int


@strawberry.type
class UserError:
    code: str


@strawberry.type
class SendMessagePayload:
    errors: list[UserError]
    message: Sent | None


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
        async with AsyncSession(engine) as session:
            room_id = UUID(int=int(input.room_id.removeprefix("room_")))
            room = await session.get(Room, room_id, with_for_update=True)
            assert room is not None
            room.last_seq += 1
            message = Message(room_id=room.id, seq=room.last_seq, body=input.body)
            session.add_all([room, message])
            await session.commit()
            await session.refresh(message)
            return SendMessagePayload(errors=[], message=Sent(id=strawberry.ID(str(message.id)), seq=message.seq))


async def health(_request: object) -> PlainTextResponse:
    return PlainTextResponse("ok")


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    async with AsyncSession(engine) as session:
        session.add_all(Room(id=id_) for id_ in ROOMS)
        await session.commit()
    yield
    await engine.dispose()


schema = strawberry.Schema(Query, Mutation, extensions=[ParserCache, ValidationCache])
app = Starlette(routes=[Route("/health", health), Route("/graphql", GraphQL(schema))], lifespan=lifespan)

if __name__ == "__main__":
    serve(app)
