"""Inputs and payloads of all mutations: their names, their descriptions, and what null means in each input."""

import re
import uuid
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Annotated, Any

import pytest
from graphql import (
    GraphQLInputObjectType,
    GraphQLObjectType,
    Undefined,
    get_named_type,
    is_non_null_type,
)

from roomcast.api.context import Info
from roomcast.api.errors import ErrorCode
from roomcast.api.schema.mutation import Clearable, Omittable, describe, mutation
from roomcast.api.schema.root import build_schema, printed_schema
from tests.accounts.documents import PROFILE
from tests.api_clients import JOIN, PASSWORD, AnonymousClient, Json, UserClient, sign_up
from tests.rooms.documents import change

SCHEMA = build_schema()._schema
assert SCHEMA.mutation_type is not None
MUTATIONS = SCHEMA.mutation_type.fields

REFUSE_NULL = {
    "updateRoom": {"name", "visibility", "slowModeSeconds"},
    "updateProfile": {"currentPassword"},
    "editMessage": {"expectedRevision"},
    "setRoomPreferences": {"notificationLevel", "favourite"},
    "sendMessage": {"body"},  # of a message without attachments
}
"""Nullable input fields that are VALIDATION_FAILED when they are null."""

STATE = (
    "query State($room: ID!, $message: ID!) { me { email user { " + PROFILE + " avatarUrl } } "
    "message(id: $message) { body revision } room(id: $room) { name topic description visibility slowModeSeconds "
    "viewerMembership { notificationLevel favourite } } }"
)


def input_of(name: str) -> GraphQLInputObjectType | None:
    arguments = MUTATIONS[name].args
    if not arguments:
        return None
    assert arguments.keys() == {"input"}
    assert is_non_null_type(arguments["input"].type)
    type_ = get_named_type(arguments["input"].type)
    assert isinstance(type_, GraphQLInputObjectType)
    return type_


def nullable_fields(name: str) -> set[str]:
    type_ = input_of(name)
    return set() if type_ is None else {key for key, field in type_.fields.items() if not is_non_null_type(field.type)}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_has_an_input_and_a_payload_of_its_own(name: str) -> None:
    own, type_ = name[0].upper() + name[1:], input_of(name)
    payload = get_named_type(MUTATIONS[name].type)
    assert isinstance(payload, GraphQLObjectType)
    assert payload.name == f"{own}Payload"
    assert [interface.name for interface in payload.interfaces] == ["MutationPayload"]
    assert type_ is None or type_.name == f"{own}Input"
    required = {key for key, field in payload.fields.items() if is_non_null_type(field.type)}
    assert required - {"replayed"} == {"errors"}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_and_its_fields_are_described(name: str) -> None:
    description, type_ = MUTATIONS[name].description or "", input_of(name)
    codes = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", description.partition("Errors:")[2]))
    assert codes <= set(ErrorCode.__members__)
    assert codes or "no errors of its own" in description
    payload = get_named_type(MUTATIONS[name].type)
    assert isinstance(payload, GraphQLObjectType)
    for described in (payload, *payload.fields.values(), *((type_, *type_.fields.values()) if type_ else ())):
        assert described.description


def optional_values() -> Iterator[Any]:
    """All arguments and input fields of the schema."""
    for type_ in SCHEMA.type_map.values():
        fields = getattr(type_, "fields", {}).values()
        is_input = isinstance(type_, GraphQLInputObjectType)
        yield from fields if is_input else chain.from_iterable(getattr(field, "args", {}).values() for field in fields)


def test_no_argument_and_no_input_field_has_the_default_null() -> None:
    values = list(optional_values())
    assert [value for value in values if value.default_value is Undefined]
    assert [value for value in values if value.default_value is None] == []
    assert "= null" not in printed_schema()


# ------------------------------------------------------------------ null


async def valid_input(name: str, ann: UserClient, bob: UserClient, room_id: str, message_id: str) -> Json:
    """An input of the mutation without any optional field. `ann` is an administrator, `bob` the owner of the room."""
    user = {}
    if name in ("banUser", "removeMember", "muteMember"):
        async with await sign_up(ann.app, f"user_{uuid.uuid4().hex[:12]}") as person:
            await person.join(room_id)
            user = {"userId": person.id}
    return {
        "signup": {"username": f"user_{uuid.uuid4().hex[:12]}", "password": PASSWORD},
        "login": {"usernameOrEmail": "bob", "password": PASSWORD},
        "updateProfile": {},
        "banUser": user,
        "createRoom": {"name": f"room {uuid.uuid4().hex}"},
        "updateRoom": {"roomId": room_id},
        "removeMember": {"roomId": room_id, **user},
        "muteMember": {"roomId": room_id, "seconds": 60, **user},
        "createInvite": {"roomId": room_id},
        "sendMessage": {"roomId": room_id, "body": "hello"},
        "editMessage": {"messageId": message_id, "body": "hello"},
        "deleteMessage": {"messageId": (await bob.send_messages(room_id, "delete me"))[0]["id"]},
        "setPresence": {},
        "setRoomPreferences": {"roomId": room_id},
    }[name]


@pytest.mark.parametrize("name", [name for name in MUTATIONS if nullable_fields(name) and name != "joinRoom"])
async def test_null_clears_a_field_or_is_refused_with_its_path(
    name: str, ann: UserClient, bob: UserClient, anonymous: AnonymousClient
) -> None:
    room_id = await bob.create_room("den", topic="bones", description="leaves")
    [message] = await bob.send_messages(room_id, "first")
    document = f"mutation M($input: {input_of(name)}!) {{ {name}(input: $input) {{ errors {{ code path }} }} }}"
    client = {"signup": anonymous, "login": anonymous, "banUser": ann}.get(name, bob)
    refused = set()
    for field in sorted(nullable_fields(name)):
        valid = await valid_input(name, ann, bob, room_id, message["id"])
        before = await bob.execute(STATE, room=room_id, message=message["id"])
        errors = (await client.mutate(document, **{**valid, field: None}))["errors"]
        if errors:
            refused.add(field)
            assert errors == [{"code": "VALIDATION_FAILED", "path": ["input", field]}]
            assert await bob.execute(STATE, room=room_id, message=message["id"]) == before
    assert refused == REFUSE_NULL.get(name, set())


async def test_fields_that_are_left_out_stay_as_they_are(bob: UserClient) -> None:
    room_id = await bob.create_room("den", topic="bones", description="leaves")
    [message] = await bob.send_messages(room_id, "first")
    before = await bob.execute(STATE, room=room_id, message=message["id"])
    assert (await change(bob, "updateRoom", roomId=room_id))["cursor"] is None
    for name, valid in {"updateProfile": {}, "setPresence": {}, "setRoomPreferences": {"roomId": room_id}}.items():
        document = f"mutation M($input: {input_of(name)}!) {{ {name}(input: $input) {{ errors {{ code }} }} }}"
        assert (await bob.mutate(document, **valid))["errors"] == []
    assert await bob.execute(STATE, room=room_id, message=message["id"]) == before


async def test_null_in_a_filter_or_an_argument_is_the_same_as_left_out(ann: UserClient, bob: UserClient) -> None:
    room_id = await ann.create_room("den", memberIds=[bob.id])
    await ann.send_messages(room_id, "hello")
    required = {"searchMessages": 'query: "hello"', "messages": f'roomId: "{room_id}"'}
    assert SCHEMA.query_type is not None
    for name in ("rooms", "users", "auditLog", "messages", "searchMessages"):
        arguments = SCHEMA.query_type.fields[name].args
        filter_ = get_named_type(arguments["filter"].type) if "filter" in arguments else None
        inner = f"filter: {{ {nulls(filter_.fields)} }}" if isinstance(filter_, GraphQLInputObjectType) else ""
        answers = [
            (await ann.execute(f"{{ {name}({required.get(name, 'first: 50')} {more}) {{ nodes {{ id }} }} }}"))[name]
            for more in ("", nulls(arguments, "first"), inner)
        ]
        assert answers[0]["nodes"] or name == "auditLog"
        assert answers == [answers[0]] * 3, name


def nulls(optional: Mapping[str, Any], *left_out: str) -> str:
    """Null for each of these arguments or fields that can be null."""
    names = [name for name, value in optional.items() if not is_non_null_type(value.type) and name not in left_out]
    return " ".join(f"{name}: null" for name in names)


@pytest.mark.parametrize(
    ("given", "literal"),
    [
        ({}, "{}"),
        ({"roomId": None}, "{roomId: null}"),
        ({"roomId": "room_x", "inviteCode": "x"}, '{roomId: "room_x", inviteCode: "x"}'),
    ],
)
async def test_a_room_is_joined_by_exactly_one_of_id_and_invite(bob: UserClient, given: Json, literal: str) -> None:
    assert await bob.error_codes(JOIN, input=given) == ["BAD_USER_INPUT"]
    document = f"mutation {{ joinRoom(input: {literal}) {{ errors {{ code }} }} }}"
    assert await bob.error_codes(document) == ["GRAPHQL_VALIDATION_FAILED"]


async def test_clients_learn_that_the_input_has_one_of_its_fields(bob: UserClient) -> None:
    described = await bob.execute('{ __type(name: "JoinRoomInput") { isOneOf inputFields { defaultValue } } }')
    assert described["__type"] == {"isOneOf": True, "inputFields": [{"defaultValue": None}] * 2}
    assert "input JoinRoomInput @oneOf {" in printed_schema()


async def test_a_signed_out_client_is_unauthenticated_before_its_input_is_refused(anonymous: AnonymousClient) -> None:
    document = "mutation M($input: UpdateRoomInput!) { updateRoom(input: $input) { cursor } }"
    assert await anonymous.error_codes(document, input={"roomId": "room_x", "name": None}) == ["UNAUTHENTICATED"]


# ------------------------------------------------------------------ the declaration


def test_a_default_that_contradicts_the_rule_of_null_is_refused() -> None:
    async def clears_by_default(
        self: Any, info: Info, topic: Annotated[Clearable[str], describe("")] = None
    ) -> None: ...

    async def is_nullable_and_required(self: Any, info: Info, name: Omittable[str]) -> None: ...

    for wrong in (clears_by_default, is_nullable_and_required):
        with pytest.raises(TypeError, match="wrong default"):
            mutation(wrong)
