"""Plans complete random documents to the same bytes as graphql-core, errors included."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from inspect import isawaitable
from random import Random
from typing import Any

import orjson
import pytest
from graphql import GraphQLField, GraphQLObjectType
from graphql.pyutils import Undefined
from hypothesis import strategies as st

from roomcast.api.context import Context
from roomcast.api.execution.bounded_executor import BoundedExecutor
from roomcast.api.execution.documents import RequestErrors, is_shared_field
from roomcast.api.execution.engine import Engine, execute, result_payload
from roomcast.api.execution.fast_resolvers import FunctionResolver
from roomcast.api.execution.limits import DEFAULT_RESPONSE_BYTES
from roomcast.api.execution.plans import run
from roomcast.api.execution.plans.cache import PlanCache
from roomcast.api.execution.requests import Request
from roomcast.api.execution.viewer_fields import LIVE_CALLER
from roomcast.api.schema.root import build_schema
from roomcast.core.errors import Forbidden
from tests.api_clients import UserClient
from tests.delivery.test_viewer_fields import DOCUMENTS as VIEWER_DOCUMENTS
from tests.delivery.test_viewer_fields import RenderingComparison, create_busy_room
from tests.edge.random_documents import CONDITIONS, finished, random_queries
from tests.edge.test_fuzz import drawn

CASES = int(os.environ.get("ROOMCAST_TEST_FUZZ_CASES", "200")) // 10
MESSAGE = """id seq body bodyHtml createdAt kind author { id username presence { state } }
  reactions { emoji count viewerHasReacted } thread { replyCount lastReply { body } participants { username } }
  replyTo { id author { avatarUrl } } mentions { id } attachments { id } systemEvent { kind actor { id } }
  room { ...R } viewerCanEdit None: id class: id s: id R: id d: id"""
ROOM = """id name streamCursor lastActivityAt viewerMembership { role unreadCount mentionCount }
  viewerPermissions { canSend } directPeers { id } createdBy { username } lastMessage { seq }
  members(first: 2) { totalCount edges { cursor node { user { id } } } }"""
HEALTHY_DOCUMENTS = (
    f"query($id: ID!) {{ messages(roomId: $id) {{ streamCursor edges {{ cursor node {{ {MESSAGE} }} }} }} }}",
    f"query($id: ID!) {{ rooms {{ totalCount nodes {{ ...R lastMessage {{ {MESSAGE} }} }} pageInfo {{ endCursor }} }} "
    "node(id: $id) { ... on Room { ...R } } nodes(ids: [$id]) { __typename ...R id ... on User { username } } "
    "me { id totalUnread user { id } sessions { current } } }",
)
"""Documents without errors."""


async def later(value: Any) -> Any:
    return value


def failing(_value: Any) -> Any:
    raise Forbidden("not for you")


ODD_OBJECT = object()
"""One for all: scalars that are written by `str` show its address."""

ODD_VALUES: Sequence[Callable[[Any], Any]] = (
    failing,
    later,
    lambda _: None,
    lambda _: Undefined,
    lambda _: ODD_OBJECT,
    lambda _: LookupError("a value"),
    lambda value: [value],
    lambda value: [None, value] if isinstance(value, list) else 2**40,
    lambda _: 'a long text with ümlauts and "quotes" ' * 20,
    lambda value: iter(value) if isinstance(value, list) else value,
)
"""What a broken resolver makes of its value."""


class Comparison:
    """Executes documents for a viewer, with and without plans."""

    def __init__(self, engine: Engine, viewer: Any, room: str, arguments: dict[str, tuple[str, str]]) -> None:
        self._engine, self._viewer, self.room, self.arguments = engine, viewer, room, arguments

    async def execute(
        self, document: str, plans: PlanCache | None, variables: dict[str, Any], max_bytes: int = DEFAULT_RESPONSE_BYTES
    ) -> bytes:
        operation = self._engine.operation(Request(document, variables))
        context = Context(self._engine.backend, self._viewer, LIVE_CALLER, field_names=operation.field_names)
        executor = self._engine.executor(operation, variables, context)
        executor._plans, executor.max_bytes = plans, max_bytes
        try:
            result = await execute(executor)
        finally:
            await context.close()
        return orjson.dumps(result_payload(result, LIVE_CALLER.request_id))


@pytest.fixture
async def comparison(ann: UserClient, bob: UserClient, cleo: UserClient) -> Comparison:
    room = await create_busy_room(ann, bob, cleo)
    nodes = (await ann.execute("query($r: ID!) { messages(roomId: $r) { nodes { id } } }", r=room))["messages"]["nodes"]
    message = nodes[0]["id"]
    ids = ", ".join(f'"{each}"' for each in (room, message, bob.id, "user_none"))
    arguments = {
        "node": ("id", f'"{message}"'),
        "nodes": ("ids", f"[{ids}]"),
        "user": ("id", f'"{bob.id}"'),
        "room": ("id", f'"{room}"'),
        "roomByName": ("name", '"den"'),
        "invite": ("code", '"none"'),
        "message": ("id", f'"{message}"'),
        "messages": ("roomId", f'"{room}"'),
        "searchMessages": ("query", '"two"'),
    }
    engine = ann.app.roomcast.sockets._engine
    return Comparison(engine, await engine.backend.sessions.authenticate(ann.token or ""), room, arguments)


def changed(value: Any, change: Callable[[Any], Any]) -> Any:
    async def change_later() -> Any:
        result = change(await value)
        return await result if isawaitable(result) else result

    return change_later() if isawaitable(value) else change(value)


def broken(resolver: Any, change: Callable[[Any], Any]) -> Any:
    """The resolver, with its value changed. It stays one that plans call directly, if it was."""
    if isinstance(resolver, FunctionResolver):
        return replace(
            resolver,
            function=lambda *args, **kwargs: changed(resolver.function(*args, **kwargs), change),
            may_wait=resolver.may_wait or change is later,
        )
    return lambda source, info, **arguments: changed(resolver(source, info, **arguments), change)


def break_resolvers(
    monkeypatch: pytest.MonkeyPatch, random: Random, is_broken: Callable[[GraphQLField], float] = lambda _: 0.05
) -> None:
    """Give fields a broken resolver with this probability."""
    schema = build_schema()._schema
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLObjectType) and type_ is not schema.query_type and not type_.name.startswith("__"):
            for field in type_.fields.values():
                if random.random() < is_broken(field):
                    monkeypatch.setattr(field, "resolve", broken(field.resolve, random.choice(ODD_VALUES)))


def comparable(payload: bytes) -> Any:
    """The payload, or only its data if it has errors: if several fields fail, it is not defined which are reported."""
    decoded = orjson.loads(payload)
    return decoded["data"] if decoded.get("errors") else payload


on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@on_sqlite
@pytest.mark.parametrize("are_broken", [False, True])
async def test_plans_complete_random_documents_to_the_same_bytes(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch, are_broken: bool
) -> None:
    compared = 0
    cases = st.tuples(random_queries(), st.integers(0, 2**32))
    for text, seed in await drawn(cases, CASES):
        random = Random(seed)
        document = finished(text, comparison.arguments, random)
        with monkeypatch.context() as patched:
            patched.setattr(run, "MAX_FIELDS", random.choice([20, run.MAX_FIELDS, run.MAX_FIELDS]))
            if are_broken:
                break_resolvers(patched, random)
            try:
                by_graphql = await comparison.execute(document, None, CONDITIONS)
            except RequestErrors:  # the document exceeds a limit
                continue
            by_plans = await comparison.execute(document, PlanCache(0), CONDITIONS)
        assert comparable(by_plans) == comparable(by_graphql), document
        compared += 1
    assert compared > CASES / 3


@on_sqlite
async def test_plans_complete_broken_viewer_fields_to_the_same_bytes(
    ann: UserClient, bob: UserClient, cleo: UserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = await create_busy_room(ann, bob, cleo)
    events = await RenderingComparison.of(ann.app, room, ann, bob, cleo)
    for seed in range(CASES):
        for document in VIEWER_DOCUMENTS[:3]:
            with monkeypatch.context() as patched:
                break_resolvers(patched, Random(seed), lambda field: 0.01 if is_shared_field(field) else 0.1)
                for_each, for_group = await events.render_for_each(document), await events.render_for_group(document)
            assert [[comparable(payload or b"{}") for payload in each] for each in for_group] == [
                [comparable(payload or b"{}") for payload in each] for each in for_each
            ], (seed, document)


@on_sqlite
@pytest.mark.parametrize("document", HEALTHY_DOCUMENTS)
async def test_graphql_core_does_not_complete_what_a_plan_can(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch, document: str
) -> None:
    document += f" fragment R on Room {{ {ROOM} }}"
    variables = {"id": comparison.room}
    by_graphql = await comparison.execute(document, None, variables)
    assert b'"errors"' not in by_graphql
    for max_bytes in (len(by_graphql) // 2, DEFAULT_RESPONSE_BYTES):
        plans = PlanCache(0)
        expected = await comparison.execute(document, None, variables, max_bytes)
        assert await comparison.execute(document, plans, variables, max_bytes) == expected
    monkeypatch.setattr(BoundedExecutor, "complete_object_value", None)
    assert await comparison.execute(document, plans, variables) == by_graphql


@on_sqlite
async def test_a_selection_gets_one_plan_for_each_combination_of_conditions(comparison: Comparison) -> None:
    document = "query($a: Boolean!, $b: Boolean = true) { me { id @skip(if: $a) user { id @include(if: $b) bio } } }"
    plans, found = PlanCache(), []
    for variables in ({"a": True}, {"a": True}, {"a": True}, {"a": False, "b": False}) * 2:
        payload = await comparison.execute(document, plans, variables)
        found.append((len(plans._plans), payload == await comparison.execute(document, None, variables)))
    assert found == [(count, True) for count in (0, 0, 1, 1, 1, 1, 1, 1)]
    await comparison.execute(document, plans, {"a": False, "b": False})
    assert len(plans._plans) == 2
