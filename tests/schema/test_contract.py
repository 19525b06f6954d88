"""The served schema has everything in the contract, `contract.graphql`: with the same types, nullability and defaults.

More is allowed: types, fields, optional arguments and input fields, enum values, union members, stricter outputs.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    BreakingChangeType,
    DangerousChangeType,
    GraphQLSchema,
    NullValueNode,
    SafeChangeType,
    SchemaChange,
    build_schema,
    find_schema_changes,
    is_abstract_type,
    is_input_object_type,
)

from roomcast.api.schema import root
from tests.schema.changes import name_of
from tests.schema.descriptions import elements

CONTRACT = build_schema((Path(__file__).parent / "contract.graphql").read_text())

DIFFERENCES = {
    DangerousChangeType.ARG_DEFAULT_VALUE_CHANGE,
    DangerousChangeType.INPUT_FIELD_DEFAULT_VALUE_CHANGE,
    SafeChangeType.ARG_DEFAULT_VALUE_ADDED,
    SafeChangeType.INPUT_FIELD_DEFAULT_VALUE_ADDED,
    SafeChangeType.ARG_CHANGED_KIND_SAFE,
}
"""Changes that break no client, but that differ from the contract all the same."""

WORDS = (
    (r" was removed( from)?", r" is missing\1"),
    (r"(?: has)? changed type from (\S+) to (\S+)\.", r" has the type \2 instead of \1."),
    (r" no longer implements", " does not implement"),
    (r" has changed defaultValue from (.+) to (.+)\.", r" has the default \2 instead of \1."),
    (r" added a defaultValue (.+)\.", r" has the default \1 instead of none."),
    (r" defaultValue is missing", " has no default"),
)
"""Makes a statement about the served schema of graphql-core's description of a change."""


def differs(contract: GraphQLSchema, change: SchemaChange) -> bool:
    if change.type is SafeChangeType.FIELD_CHANGED_KIND_SAFE:  # a looser input or a stricter output
        return is_input_object_type(contract.type_map[name_of(change.description).partition(".")[0]])
    return isinstance(change.type, BreakingChangeType) or change.type in DIFFERENCES


def gaps(contract: GraphQLSchema, served: GraphQLSchema) -> Iterator[str]:
    """What the served schema lacks or does otherwise."""
    for change in find_schema_changes(contract, served):
        if differs(contract, change):
            text = change.description
            for old, new in WORDS:
                text = re.sub(old, new, text)
            yield text
    for name, kind in contract.type_map.items():
        other = served.type_map.get(name)
        if is_input_object_type(kind) and is_input_object_type(other) and kind.is_one_of != other.is_one_of:
            yield f"{name} {'lacks' if kind.is_one_of else 'has'} @oneOf."


def null_defaults(schema: GraphQLSchema) -> list[str]:
    """The coordinates of arguments and input fields with `= null`, which says that left out and null are the same."""
    defaults = (
        (coordinate, getattr(element.ast_node, "default_value", None)) for coordinate, element in elements(schema)
    )
    return [coordinate for coordinate, default in defaults if isinstance(default, NullValueNode)]


def conflicts(schema: GraphQLSchema) -> list[str]:
    """Fields of one name and two types, in types that one selection may cover: they cannot be selected together.

    `Node` is not looked at: nobody selects the fields of unrelated types together.
    """
    found = []
    for name, abstract in schema.type_map.items():
        if not is_abstract_type(abstract) or name == "Node":
            continue
        types: dict[str, dict[str, list[str]]] = {}
        for member in schema.get_possible_types(abstract):
            for field_name, field in member.fields.items():
                types.setdefault(field_name, {}).setdefault(str(field.type), []).append(member.name)
        found += [f"{name}: {field} is {of}" for field, of in types.items() if len(of) > 1]
    return found


def refuse(title: str, found: list[str]) -> None:
    if found:
        pytest.fail("\n  ".join([f"{title} ({len(found)}):", *sorted(found)]), pytrace=False)


def test_the_served_schema_has_everything_in_the_contract() -> None:
    served = build_schema(root.printed_schema())
    refuse("The served schema differs from tests/schema/contract.graphql", list(gaps(CONTRACT, served)))


def test_no_default_is_null() -> None:
    refuse("Defaults that are null", null_defaults(build_schema(root.printed_schema())))


def test_fields_of_one_name_have_one_type_in_all_members_of_a_union_or_interface() -> None:
    refuse("Fields that cannot be selected together", conflicts(build_schema(root.printed_schema())))


# ------------------------------------------------------------------ that the comparison finds everything

TOY = """
interface Node { id: ID! }
enum Role { OWNER MEMBER }
type Room implements Node { id: ID! name: String messages(first: Int, order: Role! = OWNER): [Int!] }
type User { id: ID! }
union Found = Room | User
scalar Moment
input Draft { body: String pin: Boolean! = false role: Role! }
input Key @oneOf { id: ID code: ID }
type Query { room(id: ID!, key: Key): Room found: Found at(draft: Draft): Moment }
"""


@pytest.mark.parametrize(
    ("old", "new", "gap"),
    [
        ("name: String", "", "Field Room.name is missing."),
        ("name: String", "name: Int", "Field Room.name has the type Int instead of String."),
        ("id: ID! name", "id: ID name", "Field Room.id has the type ID instead of ID!."),
        ("[Int!]", "[Int]", "Field Room.messages has the type [Int] instead of [Int!]."),
        ("first: Int, ", "", "Argument Room.messages(first:) is missing."),
        ("(id: ID!, key", "(id: ID, key", "Argument Query.room(id:) has the type ID instead of ID!."),
        ("first: Int,", "first: Int = 5,", "Room.messages(first:) has the default 5 instead of none."),
        ("first: Int,", "first: Int = null,", "Room.messages(first:) has the default null instead of none."),
        (
            "order: Role! = OWNER",
            "order: Role! = MEMBER",
            "Room.messages(order:) has the default MEMBER instead of OWNER.",
        ),
        ("order: Role! = OWNER", "order: Role", "Room.messages(order:) has no default."),
        ("key: Key", "key: Key, by: ID!", "A required argument Query.room(by:) was added."),
        ("Role { OWNER MEMBER", "Role { OWNER", "Enum value Role.MEMBER is missing."),
        ("Room | User", "Room", "User is missing from union type Found."),
        ("Room implements Node", "Room", "Room does not implement interface Node."),
        ("scalar Moment", "type Moment { at: Int }", "Moment changed from a Scalar type to an Object type."),
        ("body: String", "", "Field Draft.body is missing."),
        ("body: String", "body: String = null", "Draft.body has the default null instead of none."),
        ("role: Role! }", "role: Role }", "Field Draft.role has the type Role instead of Role!."),
        ("role: Role! }", "role: Role! by: ID! }", "A required field Draft.by was added."),
        ("pin: Boolean! = false", "pin: Boolean! = true", "Draft.pin has the default true instead of false."),
        ("@oneOf", "", "Key lacks @oneOf."),
        ("input Draft", "input Draft @oneOf", "Draft has @oneOf."),
    ],
)
def test_every_difference_from_a_contract_is_found(old: str, new: str, gap: str) -> None:
    assert old in TOY
    assert gap in list(gaps(build_schema(TOY), build_schema(TOY.replace(old, new, 1), assume_valid=True)))


def test_more_than_the_contract_is_allowed() -> None:
    more = TOY
    for old, new in [
        ("name: String", "name: String! topic: String"),
        ("first: Int,", "first: Int, after: ID,"),
        ("OWNER MEMBER", "OWNER MEMBER GUEST"),
        ("Room | User", "Room | User | Thread"),
        ("type User {", "type Thread { id: ID! } type User implements Node {"),
        ("body: String", "body: String key: ID"),
    ]:
        assert old in more
        more = more.replace(old, new, 1)
    assert list(gaps(build_schema(TOY), build_schema(more))) == []


def test_null_defaults_are_found() -> None:
    sdl = "input Draft { body: String = null pin: Boolean = false } type Query { at(draft: Draft = null, by: ID): Int }"
    assert null_defaults(build_schema(sdl)) == ["Draft.body", "Query.at(draft:)"]


def test_fields_that_cannot_be_selected_together_are_found() -> None:
    sdl = "type A { id: ID at: Int } type B { id: ID! at: Int } union Either = A | B type Query { either: Either }"
    assert conflicts(build_schema(sdl)) == ["Either: id is {'ID': ['A'], 'ID!': ['B']}"]
