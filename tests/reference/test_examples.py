"""The examples of the reference: each root field has one, and each of them does what it shows on a running server."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from graphql import GraphQLObjectType, build_schema

from roomcast.api.schema import root
from roomcast.web.reference.examples import Example, examples_of
from tests.api_clients import Json
from tests.conftest import MakeApp
from tests.reference.world import World, actor, close, make_world

SCHEMA = build_schema(root.printed_schema())


def run_each(root_type: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("field", "example"), examples_of(root_type).items(), ids=examples_of(root_type))


@pytest_asyncio.fixture
async def world(make_app: MakeApp) -> AsyncIterator[World]:
    made = await make_world(await make_app(push_allowed_hosts=["localhost"]))
    yield made
    await close(made)


def variables_of(world: World, example: Example) -> Json:
    """The variables, with the ids that the server has made in place of the invented ones."""
    variables: Json = world.with_real_values(json.loads(example.variables or "{}"))
    return variables


@pytest.mark.parametrize("root_type", ["Query", "Mutation", "Subscription"])
def test_every_root_field_has_an_example_and_no_other(root_type: str) -> None:
    type_ = SCHEMA.type_map[root_type]
    assert isinstance(type_, GraphQLObjectType)
    assert set(examples_of(root_type)) == set(type_.fields)


@run_each("Query")
async def test_a_query_finds_something(world: World, field: str, example: Example) -> None:
    found = await actor(world, field).execute(example.document, **variables_of(world, example))
    assert list(found) == [field]
    assert_found(found[field])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@run_each("Mutation")
async def test_a_mutation_succeeds(world: World, field: str, example: Example) -> None:
    done = await actor(world, field).execute(example.document, **variables_of(world, example))
    assert list(done) == [field]
    errors, *values = done[field].values()
    assert errors == []
    assert None not in values


@run_each("Subscription")
async def test_a_subscription_sends_something(world: World, field: str, example: Example) -> None:
    async with actor(world, field).connect() as socket:
        stream = await socket.subscribe(example.document, **variables_of(world, example))
        assert await stream.next_event()
        await stream.stop()


def assert_found(value: Any) -> None:
    assert value
    if isinstance(value, dict):
        assert value.get("nodes", value.get("edges")) != []
    if isinstance(value, list):
        assert None not in value
