"""What is executed once for many is, to the byte, what each of them would be shown alone, nulls of errors included."""

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from graphql import FieldDefinitionNode, Visitor, parse, print_ast, visit
from hypothesis import strategies as st
from hypothesis_graphql import nodes, queries

from roomcast.api.context import Context
from roomcast.api.execution.documents import RequestErrors
from roomcast.api.execution.engine import Engine, execute, result_payload
from roomcast.api.execution.requests import Request
from roomcast.api.execution.viewer_fields import LIVE_CALLER
from roomcast.api.execution.viewer_fields import AudienceMember as Onlooker
from roomcast.api.schema.streams.events import ROOM_EVENT_TYPES, RenderedEvent
from roomcast.api.schema.streams.subscriptions import RoomEventRenderer, Stream, StreamStart
from roomcast.core.errors import Forbidden
from roomcast.core.events import Event
from roomcast.core.ids import local_id
from roomcast.messages.events import MessageCreated
from roomcast.realtime.ports import FeedEntry
from tests.api_clients import UserClient
from tests.delivery.test_sharing import PIN, REACT
from tests.edge.test_fuzz import drawn
from tests.running_app import RunningApp

CASES = int(os.environ.get("ROOMCAST_TEST_FUZZ_CASES", "200")) // 10
SCHEMA = Path("schema.graphql").read_text()
WHOLE = """
  fragment W on Message { id viewerCanEdit mine: viewerCanDelete body reactions { viewerHasReacted emoji count }
    author { username } room { viewerPermissions { canPin canSend } viewerMembership { role unreadCount } name }
    replyTo { viewerCanEdit } threadRoot { viewerCanDelete room { viewerMembership { favourite } } } }"""
WRITTEN = (
    f"subscription {{ roomMessages(roomId: 1) {{ cursor message {{ ...W }} }} }} {WHOLE}",
    "subscription { roomEvents(roomId: 1) { at ... on MessageCreated { message { ...W } } cursor "
    "... on MessageUpdated { reason message { ...M } } ... on RoomChanged { room { ...R } } } } "
    "fragment M on Message { viewerCanEdit ...N } fragment N on Node { id ... on Message { viewerCanEdit seq } } "
    "fragment R on Room { viewerMembership { role } lastMessage { viewerCanEdit } viewerMembership { joinedAt } }"
    + WHOLE,
    "subscription { roomEvents(roomId: 1) { ... on MessageCreated { message { a: viewerCanEdit @skip(if: true) "
    "b: viewerCanEdit @include(if: true) room { messages(last: 2) { nodes { viewerCanEdit body } } } } } } }",
    "subscription { roomEvents(roomId: 1) { ... on MessageCreated { message { viewerCanEdit "
    "revisions(first: -1) { nodes { body } } } } } }",
)
"""Documents full of what depends on the viewer; in the last one, what does not depend on them fails."""
ROOTS = {
    "messages": "type Query { roomMessages(roomId: ID!): MessageDelivery! }",
    "events": "type Query { roomEvents(roomId: ID!): RoomEvent! }",
}
DELETE = "mutation D($input: DeleteMessageInput!) { deleteMessage(input: $input) { errors { code } } }"
UPDATE = "mutation U($input: UpdateRoomInput!) { updateRoom(input: $input) { errors { code } } }"


class WithoutArguments(Visitor):
    def enter_field_definition(self, node: FieldDefinitionNode, *_: Any) -> FieldDefinitionNode:
        return replace(node, arguments=())


def documents(root: str) -> st.SearchStrategy[str]:
    """Subscriptions of our schema, with whatever can be selected under this root without arguments."""
    types = [each for each in parse(SCHEMA).definitions if getattr(each, "name", None)]
    types = [each for each in types if each.name.value not in ("Query", "Mutation", "Subscription")]  # type: ignore[attr-defined]
    plain = "\n".join(print_ast(visit(each, WithoutArguments())) for each in types)
    scalars = {name: st.just(nodes.String("x")) for name in ("UUID", "Cursor", "DateTime", "URL", "Seq")}
    return queries(f"{plain}\n{root}", custom_scalars=scalars).map(lambda text: f"subscription {text}")


async def lively_room(ann: UserClient, bob: UserClient, cleo: UserClient) -> str:
    """Something of everything that a stream shows. Cleo reads along without being a member."""
    den = await ann.create_room("den", memberIds=[bob.id])
    said = [(await ann.send(den, body))["message"]["id"] for body in ("hello @bob", "**two**", "three")]
    for person, emoji in ((bob, "👍"), (ann, "👍"), (bob, "🎉")):
        await person.mutate(REACT, messageId=said[0], emoji=emoji)
    await bob.send(den, "an answer", replyToId=said[0])
    await bob.send(den, "in a thread", threadRootId=said[0])
    await ann.mutate(PIN, messageId=said[0])
    await ann.mutate(DELETE, messageId=said[2])
    await ann.mutate(UPDATE, roomId=den, topic="everything")
    return den


def kinds_of(document: str) -> frozenset[type[Event]]:
    return ROOM_EVENT_TYPES if "roomEvents" in document else frozenset([MessageCreated])


class Stage:
    """A room's events and the people who look at them."""

    def __init__(self, engine: Engine, room_id: Any, entries: Sequence[FeedEntry], people: Sequence[Onlooker]) -> None:
        self._engine, self._entries, self._people = engine, entries, people
        self._place = StreamStart(room_id, 0, None, expired=False)

    @classmethod
    async def of(cls, app: RunningApp, room: str, *people: UserClient) -> "Stage":
        engine, room_id = app.roomcast.sockets._engine, local_id("room", room)
        entries = await app.roomcast.hub._source.after(f"room:{room_id}", 0, 100)
        actors = [await engine.backend.sessions.actor(person.token or "") for person in people]
        return cls(engine, room_id, entries, [Onlooker(actor.user_id, actor) for actor in actors])

    async def together(self, document: str) -> list[list[bytes | None]]:
        request = Request(document)
        stream = Stream(self._place, kinds_of(document), speaks=False)
        script = RoomEventRenderer(self._engine, self._engine.operation(request), request, stream)
        async with script.render(self._entries, replayed=False) as showing:
            found = await showing.payloads_for(self._people if script.is_personal else [None])
        return [list(found[person if script.is_personal else None]) for person in self._people]

    async def alone(self, document: str) -> list[list[bytes | None]]:
        return [[await self._alone(document, entry, person) for entry in self._entries] for person in self._people]

    async def _alone(self, document: str, entry: FeedEntry, person: Onlooker) -> bytes | None:
        if type(entry.event) not in kinds_of(document):
            return None
        context = Context(self._engine.backend, person.actor, LIVE_CALLER)
        executor = self._engine.executor(self._engine.operation(Request(document)), {}, context)
        try:
            result = await execute(executor.build_per_event_executor(RenderedEvent(entry.event, replayed=False)))
        finally:
            await context.close()
        return orjson.dumps(result_payload(result, LIVE_CALLER.request_id))


def failing(resolve: Callable[..., Awaitable[Any]], person: UserClient) -> Callable[..., Awaitable[Any]]:
    async def resolved(source: Any, info: Any, **arguments: Any) -> Any:
        if info.context.actor.user_id == local_id("user", person.id):
            raise Forbidden("not for you")
        return await resolve(source, info, **arguments)

    return resolved


def seen(payload: bytes | None) -> Any:
    """Where several fields fail at once, which of them is named first is a matter of time; what is null is not."""
    found = orjson.loads(payload or b"{}")
    return found["data"] if found.get("errors") else payload


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("somebody_fails", [False, True])
async def test_any_document_shows_many_people_what_it_shows_each_alone(
    ann: UserClient, bob: UserClient, cleo: UserClient, monkeypatch: pytest.MonkeyPatch, root: str, somebody_fails: bool
) -> None:
    stage = await Stage.of(ann.app, await lively_room(ann, bob, cleo), ann, bob, cleo)
    types: Any = ann.app.roomcast.schema._schema.type_map
    fields = (("Message", "viewerCanEdit"), ("ReactionGroup", "viewerHasReacted"), ("Room", "viewerMembership"))
    for type_, name in fields if somebody_fails else ():
        field = types[type_].fields[name]
        monkeypatch.setattr(field, "resolve", failing(field.resolve, bob))
    compared = 0
    for document in (*WRITTEN, *await drawn(documents(ROOTS[root]), CASES)):
        try:
            together = await stage.together(document)
        except RequestErrors:  # deeper or dearer than a client may ask for
            continue
        alone = await stage.alone(document)
        assert [list(map(seen, each)) for each in together] == [list(map(seen, each)) for each in alone], document
        compared += 1
    assert compared > CASES / 3
