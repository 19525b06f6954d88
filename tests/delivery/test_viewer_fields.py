"""Events rendered once for a group equal, byte by byte, the events rendered for each viewer alone, errors included."""

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
from roomcast.api.execution.plans.cache import PlanCache
from roomcast.api.execution.requests import Request
from roomcast.api.execution.room_renderer import RoomEventRenderer
from roomcast.api.execution.viewer_fields import LIVE_CALLER, ViewerFieldExecutor
from roomcast.api.schema.root import build_schema
from roomcast.api.schema.streams.events import ROOM_EVENT_TYPES
from roomcast.core.errors import Forbidden
from roomcast.core.events import Event
from roomcast.core.ids import local_id, uuid7
from roomcast.live.room_streams import AudienceMember, RenderedEvent, Stream, StreamStart
from roomcast.messages.events import MessageCreated
from roomcast.realtime.ports import FeedEntry
from tests.api_clients import UserClient
from tests.delivery.test_sharing import PIN, REACT
from tests.edge.test_fuzz import drawn
from tests.running_app import RunningApp

CASES = int(os.environ.get("ROOMCAST_TEST_FUZZ_CASES", "200")) // 10
SCHEMA = Path("schema.graphql").read_text()
ALL_VIEWER_FIELDS = """
  fragment W on Message { id viewerCanEdit mine: viewerCanDelete body reactions { viewerHasReacted emoji count }
    author { username } room { viewerPermissions { canPin canSend } viewerMembership { role unreadCount } name }
    replyTo { viewerCanEdit } threadRoot { viewerCanDelete room { viewerMembership { favourite } } } }"""
DOCUMENTS = (
    f"subscription {{ roomMessages(roomId: 1) {{ cursor message {{ ...W }} }} }} {ALL_VIEWER_FIELDS}",
    "subscription { roomEvents(roomId: 1) { at ... on MessageCreated { message { ...W } } cursor "
    "... on MessageUpdated { updateReason message { ...M } } ... on RoomChanged { room { ...R } } } } "
    "fragment M on Message { viewerCanEdit ...N } fragment N on Node { id ... on Message { viewerCanEdit seq } } "
    "fragment R on Room { viewerMembership { role } lastMessage { viewerCanEdit } viewerMembership { joinedAt } }"
    + ALL_VIEWER_FIELDS,
    "subscription { roomEvents(roomId: 1) { ... on MessageCreated { message { a: viewerCanEdit @skip(if: true) "
    "b: viewerCanEdit @include(if: true) room { messages(last: 2) { nodes { viewerCanEdit body } } } } } } }",
    "subscription { roomEvents(roomId: 1) { ... on MessageCreated { message { viewerCanEdit "
    "revisions(first: -1) { nodes { body } } } } } }",
)
"""Documents with many viewer fields. In the last one, a shared field fails."""
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
    """Random subscriptions of the schema, with any fields that take no arguments."""
    types = [each for each in parse(SCHEMA).definitions if getattr(each, "name", None)]
    types = [each for each in types if each.name.value not in ("Query", "Mutation", "Subscription")]  # type: ignore[attr-defined]
    plain = "\n".join(print_ast(visit(each, WithoutArguments())) for each in types)
    scalars = {name: st.just(nodes.String("x")) for name in ("UUID", "Cursor", "DateTime", "URL", "Seq", "Long")}
    return queries(f"{plain}\n{root}", custom_scalars=scalars).map(lambda text: f"subscription {text}")


async def create_busy_room(ann: UserClient, bob: UserClient, cleo: UserClient) -> str:
    """A room with every kind of event. Cleo reads it without being a member."""
    room_id = await ann.create_room("den", memberIds=[bob.id])
    message_ids = [(await ann.send(room_id, body))["message"]["id"] for body in ("hello @bob", "**two**", "three")]
    for user, emoji in ((bob, "👍"), (ann, "👍"), (bob, "🎉")):
        await user.mutate(REACT, messageId=message_ids[0], emoji=emoji)
    await bob.send(room_id, "an answer", replyToId=message_ids[0])
    await bob.send(room_id, "in a thread", threadRootId=message_ids[0])
    await ann.mutate(PIN, messageId=message_ids[0])
    await ann.mutate(DELETE, messageId=message_ids[2])
    await ann.mutate(UPDATE, roomId=room_id, topic="everything")
    return room_id


def kinds_of(document: str) -> frozenset[type[Event]]:
    return ROOM_EVENT_TYPES if "roomEvents" in document else frozenset([MessageCreated])


class RenderingComparison:
    """The events of a room and the viewers for whom they are rendered."""

    def __init__(
        self, engine: Engine, room_id: Any, entries: Sequence[FeedEntry], viewers: Sequence[AudienceMember]
    ) -> None:
        self._engine, self._entries, self._viewers = engine, entries, viewers
        self._start = StreamStart(room_id, 0, None, expired=False, epoch=uuid7())

    @classmethod
    async def of(cls, app: RunningApp, room: str, *users: UserClient) -> "RenderingComparison":
        engine, room_id = app.roomcast.sockets._engine, local_id("room", room)
        entries = await app.roomcast.hub._source.after(f"room:{room_id}", 0, 100)
        actors = [await engine.backend.sessions.authenticate(user.token or "") for user in users]
        return cls(engine, room_id, entries, [AudienceMember(actor.user_id, actor) for actor in actors])

    async def render_for_group(self, document: str) -> list[list[bytes | None]]:
        request = Request(document)
        stream = Stream(self._start, kinds_of(document), has_control_events=False)
        renderer = RoomEventRenderer(self._engine, self._engine.operation(request), request, stream)
        renderer._executor._plans = PlanCache(0)
        async with renderer.render(self._entries, replayed=False) as render_pass:
            payloads = await render_pass.payloads_for(self._viewers if renderer.is_personal else [None])
        return [list(payloads[viewer if renderer.is_personal else None]) for viewer in self._viewers]

    async def render_for_each(self, document: str) -> list[list[bytes | None]]:
        return [[await self._render(document, entry, viewer) for entry in self._entries] for viewer in self._viewers]

    async def _render(self, document: str, entry: FeedEntry, viewer: AudienceMember) -> bytes | None:
        if type(entry.event) not in kinds_of(document):
            return None
        context = Context(self._engine.backend, viewer.actor, LIVE_CALLER)
        executor = self._engine.executor(self._engine.operation(Request(document)), {}, context)
        executor._plans = None
        try:
            result = await execute(executor.build_per_event_executor(RenderedEvent(entry.event, replayed=False)))
        finally:
            await context.close()
        return orjson.dumps(result_payload(result, LIVE_CALLER.request_id))


def failing_for(resolve: Callable[..., Any], user: UserClient) -> Callable[..., Any]:
    async def resolve_or_fail(source: Any, info: Any, **arguments: Any) -> Any:
        if info.context.actor.user_id == local_id("user", user.id):
            raise Forbidden("not for you")
        value = resolve(source, info, **arguments)
        return await value if isinstance(value, Awaitable) else value

    return resolve_or_fail


def comparable(payload: bytes | None) -> Any:
    """The payload, or only its data if it has errors: when several fields fail, the order of errors is not defined."""
    decoded = orjson.loads(payload or b"{}")
    return decoded["data"] if decoded.get("errors") else payload


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("a_viewer_fails", [False, True])
async def test_group_rendering_equals_rendering_for_each_viewer(
    ann: UserClient, bob: UserClient, cleo: UserClient, monkeypatch: pytest.MonkeyPatch, root: str, a_viewer_fails: bool
) -> None:
    comparison = await RenderingComparison.of(ann.app, await create_busy_room(ann, bob, cleo), ann, bob, cleo)
    types: Any = build_schema()._schema.type_map
    fields = (("Message", "viewerCanEdit"), ("ReactionGroup", "viewerHasReacted"), ("Room", "viewerMembership"))
    for type_, name in fields if a_viewer_fails else ():
        field = types[type_].fields[name]
        monkeypatch.setattr(field, "resolve", failing_for(field.resolve, bob))
    compared = 0
    for document in (*DOCUMENTS, *await drawn(documents(ROOTS[root]), CASES)):
        try:
            for_group = await comparison.render_for_group(document)
        except RequestErrors:  # the document exceeds a limit
            continue
        for_each = await comparison.render_for_each(document)
        assert [list(map(comparable, each)) for each in for_group] == [
            list(map(comparable, each)) for each in for_each
        ], document
        compared += 1
    assert compared > CASES / 3


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_graphql_core_executes_viewer_fields_for_the_first_viewer_only(
    ann: UserClient, bob: UserClient, cleo: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison = await RenderingComparison.of(ann.app, await create_busy_room(ann, bob, cleo), ann, bob, cleo)
    expected, executed_for = await comparison.render_for_each(DOCUMENTS[0]), set[Any]()
    execute_field = ViewerFieldExecutor.execute_field

    def record_viewer(executor: ViewerFieldExecutor, *field: Any) -> Any:
        executed_for.add(executor.context_value.viewer and executor.context_value.viewer.user_id)
        return execute_field(executor, *field)

    monkeypatch.setattr(ViewerFieldExecutor, "execute_field", record_viewer)
    assert await comparison.render_for_group(DOCUMENTS[0]) == expected
    assert executed_for == {None, local_id("user", ann.id)}
