"""What is not described is listed, and so are deprecations that do not say enough."""

import pytest
from graphql import build_schema

from roomcast.api.schema import root
from tests.schema.descriptions import faults, undescribed, vague_deprecations

DESCRIBED = """
"All queries."
type Query {
  "A room."
  room("Its id." id: ID!): Room
  "The role of the viewer."
  role(
    "A filter."
    filter: Filter
  ): Role
}
"A room."
type Room implements Node { "An id." id: ID! }
"Whatever has an id."
interface Node { "An id." id: ID! }
"A role."
enum Role { "May do everything." OWNER "May read." GUEST }
"A filter."
input Filter { "A text." query: String }
"One of these."
union Found = Room
"A time."
scalar Moment
"""


def without(text: str) -> str:
    assert text in DESCRIBED
    return DESCRIBED.replace(text, "", 1)


def test_a_schema_may_be_described_completely() -> None:
    assert faults(build_schema(DESCRIBED)) == ""


@pytest.mark.parametrize(
    ("text", "coordinate"),
    [
        ('"All queries."', "Query"),
        ('"A room."', "Query.room"),
        ('"Its id."', "Query.room(id:)"),
        ('"A filter."', "Query.role(filter:)"),
        ('"Whatever has an id."', "Node"),
        ('"A role."', "Role"),
        ('"May read."', "Role.GUEST"),
        ('"A text."', "Filter.query"),
        ('"One of these."', "Found"),
        ('"A time."', "Moment"),
    ],
)
def test_everything_needs_a_description(text: str, coordinate: str) -> None:
    assert undescribed(build_schema(without(text))) == [coordinate]
    assert undescribed(build_schema(DESCRIBED.replace(text, '"  "', 1))) == [coordinate]


def test_the_list_has_a_line_for_each_type() -> None:
    bare = build_schema('enum Role { OWNER GUEST } "All." type Query { role(of: ID, in: ID): Role "A time." at: Int }')
    assert faults(bare).splitlines() == [
        "Without a description (6):",
        "  Query: role, role(of:), role(in:)",
        "  Role: the type itself, OWNER, GUEST",
    ]


@pytest.mark.parametrize(
    ("reason", "good"),
    [
        ("Use `Query.rooms` instead. Removed after 2028-01-31.", True),
        ("Use `Query.rooms`, which has pages. It will be removed on 2028-01-31.", True),
        ("Use `Query.rooms` instead.", False),
        ("Removed after 2028-01-31.", False),
        ("Use `Query.rooms` instead. Removed after next year.", False),
        ("No longer supported", False),
    ],
)
def test_a_deprecation_names_the_replacement_and_a_day(reason: str, good: bool) -> None:
    schema = build_schema(f'"All." type Query {{ "A room." room: ID @deprecated(reason: "{reason}") }}')
    assert vague_deprecations(schema) == ([] if good else ["Query.room"])


def test_the_served_schema_is_described_completely() -> None:
    if found := faults(build_schema(root.printed_schema())):
        pytest.fail(found, pytrace=False)
