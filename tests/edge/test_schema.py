"""Properties of the schema that client libraries rely on: types, caches, scalars, and what this server can do."""

import asyncio
from collections import defaultdict
from enum import StrEnum

import pytest
from graphql import GraphQLInterfaceType, GraphQLScalarType, GraphQLUnionType, is_specified_scalar_type

from roomcast.api.enums import describe_enum
from roomcast.api.execution.cost import FIELD_COSTS
from roomcast.api.schema.root import build_schema
from tests.api_clients import AnonymousClient, UserClient
from tests.conftest import MakeApp

SCHEMA = build_schema()._schema
ABSTRACT = [
    type_
    for name, type_ in SCHEMA.type_map.items()
    # Any two nodes may have a field of one name, e.g. the role of a user and of a member. Clients select those of Node
    # through fragments on one type each.
    if isinstance(type_, GraphQLUnionType | GraphQLInterfaceType) and name != "Node"
]
LISTS = {
    "messages": '{ messages(roomId: "room_x") { nodes { id } } serverInfo { version } }',
    "rooms": "{ rooms(first: 0) { nodes { id } } serverInfo { version } }",
    "users": "{ users(last: 101) { nodes { id } } serverInfo { version } }",
    "searchMessages": '{ searchMessages(query: "x", first: 0) { nodes { id } } serverInfo { version } }',
    "auditLog": "{ auditLog { nodes { id } } serverInfo { version } }",
}
"""A refused request for each list of the root, with a field that is not refused."""


@pytest.mark.parametrize("abstract", ABSTRACT, ids=str)
def test_a_field_has_one_type_in_all_members_of_an_interface_or_union(
    abstract: GraphQLUnionType | GraphQLInterfaceType,
) -> None:
    """Otherwise a document that selects it in two fragments is not valid."""
    types: dict[str, set[str]] = defaultdict(set)
    for member in SCHEMA.get_possible_types(abstract):
        for name, field in member.fields.items():
            types[name].add(str(field.type))
    assert {name: found for name, found in types.items() if len(found) > 1} == {}


def test_every_scalar_is_described_and_public_formats_name_their_specification() -> None:
    scalars = {
        name: type_
        for name, type_ in SCHEMA.type_map.items()
        if isinstance(type_, GraphQLScalarType) and not is_specified_scalar_type(type_)
    }
    assert all(scalar.description for scalar in scalars.values())
    assert {name for name, scalar in scalars.items() if scalar.specified_by_url} == {"DateTime", "URL", "UUID"}


def test_every_priced_field_exists() -> None:
    for coordinate in FIELD_COSTS:
        type_name, field = coordinate.split(".")
        assert field.startswith("__") or field in SCHEMA.type_map[type_name].fields, coordinate  # type: ignore[attr-defined]


def test_the_values_of_an_enum_must_be_described() -> None:
    class Color(StrEnum):
        RED = "RED"
        BLUE = "BLUE"

    with pytest.raises(KeyError, match="BLUE"):
        describe_enum(Color, "A color.", RED="Like blood.")
    with pytest.raises(KeyError, match="GREEN"):
        describe_enum(Color, "A color.", RED="Like blood.", BLUE="Like the sky.", GREEN="Like grass.")


@pytest.mark.parametrize("field", LISTS)
async def test_a_refused_list_is_null_and_the_rest_of_the_answer_stands(bob: UserClient, field: str) -> None:
    answer = (await bob.post({"query": LISTS[field]})).json()
    assert answer["data"][field] is None
    assert answer["data"]["serverInfo"]["version"]
    [error] = answer["errors"]
    codes = {"messages": "NOT_FOUND", "auditLog": "FORBIDDEN"}
    assert (error["path"], error["extensions"]["code"]) == ([field], codes.get(field, "BAD_USER_INPUT"))


async def test_signed_out_clients_get_null_lists_and_the_server_info(anonymous: AnonymousClient) -> None:
    document = "{ rooms { nodes { id } } viewer { id } me { id } serverInfo { capabilities } }"
    answer = (await anonymous.post({"query": document})).json()
    assert {name: answer["data"][name] for name in ("rooms", "viewer", "me")} == dict.fromkeys(
        ("rooms", "viewer", "me")
    )
    assert answer["data"]["serverInfo"]["capabilities"]
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"]


async def test_viewer_is_me(ann: UserClient) -> None:
    found = await ann.execute("{ me { id user { id } } viewer { id user { id } } }")
    assert found["viewer"] == found["me"]
    assert found["viewer"]["user"]["id"] == ann.id


async def test_the_server_says_what_it_can_do_and_its_limits(make_app: MakeApp) -> None:
    document = "{ serverInfo { capabilities limits { defaultPageSize maxPageSize maxOperationCost maxUploadBytes } } }"
    full = await make_app(push="on")
    partial = await make_app(push="off", room_creation="admins", max_upload_bytes=2**31 - 1)
    async with AnonymousClient(full) as one, AnonymousClient(partial) as other:
        infos = [(await client.execute(document))["serverInfo"] for client in (one, other)]
    assert [info["capabilities"] for info in infos] == [
        ["roomCreation", "search", "thumbnails", "webPush"],
        ["search", "thumbnails"],
    ]
    limits = infos[1]["limits"]
    assert limits == {
        "defaultPageSize": 50, "maxPageSize": 100, "maxOperationCost": 30_000, "maxUploadBytes": 2**31 - 1
    }  # fmt: skip


async def test_the_limits_hold(ann: UserClient) -> None:
    limits = (await ann.execute("{ serverInfo { limits { maxOperationCost } } }"))["serverInfo"]["limits"]
    body = {"query": "{ me { id } }", "extensions": {"cost": True}}
    answer = (await ann.post(body)).json()
    assert answer["extensions"]["cost"]["limit"] == limits["maxOperationCost"]
    await asyncio.gather(*(ann.create_room(f"room {number}") for number in range(51)))
    nodes = (await ann.execute("{ rooms { nodes { id } } }"))["rooms"]["nodes"]
    page_size = (await ann.execute("{ serverInfo { limits { defaultPageSize } } }"))["serverInfo"]["limits"]
    assert page_size == {"defaultPageSize": len(nodes)}
