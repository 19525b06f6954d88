"""Document limits: each is enforced, in time linear in the document, and counts correctly."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from graphql import GraphQLError, OperationDefinitionNode, is_object_type, parse
from hypothesis import given, settings
from hypothesis import strategies as st

from roomcast.api.execution.cost import (
    COUNT,
    FIELD_COSTS,
    INTROSPECTION,
    LIST_LENGTH_ARGUMENTS,
    LOOKUP,
    ROW_COSTS,
    SEARCH,
    STATEMENT,
    CostEstimator,
)
from roomcast.api.execution.documents import DocumentCache, RequestErrors
from roomcast.api.execution.limits import Limits, SizeChecker
from roomcast.api.schema import root
from roomcast.core.paging import write_cursor
from tests.api_clients import UserClient

SCHEMA = root.build_schema()._schema
UNLIMITED = Limits(*[10**99] * 13)

DOUBLING = "query { ...F0 } " + " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(25))
HOSTILE = {
    "nested fragments, each twice": DOUBLING + " fragment F25 on Query { me { id } }",
    "nested fragments of nothing": DOUBLING + " fragment F25 on Query { __typename @skip(if: true) }",
    "fragments in a circle": "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A me { id } }",
    "unused fragments": "{ me { id } } "
    + DOUBLING.replace("query { ...F0 }", "")
    + " fragment F25 on Query { me { id } }",
    "ten thousand aliases": "{ " + " ".join(f"a{n}: __typename" for n in range(10_000)) + " }",
    "aliases within the tokens": "{ " + " ".join(f"a{n}: __typename" for n in range(300)) + " }",
    "overlapping fields": "{ " + "me { user { id } } " * 300 + "}",
    "overlapping, deeper": "{ " + "me { user { id ... on User { id ... on User { id } } } } " * 60 + "}",
    "different arguments": "{ " + " ".join(f'a: user(id: "{n}") {{ id }}' for n in range(150)) + " }",
    "brackets": "[" * 200_000,
    "braces": "{ me " * 5_000,
    "brackets in a value": "{ user(id: " + "[" * 19_000 + ") { id } }",
    "inline fragments": "{ " + "... { " * 180 + "__typename" + " }" * 180 + " }",
    "directives": "{ __typename " + "@skip(if: false) " * 300 + "}",
    "root fields": "{ " + "__typename " * 30 + "}",
    "two sign-ins": 'mutation { a: login(input: {usernameOrEmail: "a", password: "b"}) { errors { code } } '
    '... { b: login(input: {usernameOrEmail: "a", password: "c"}) { errors { code } } } }',
    "huge numbers": "{ rooms(first: " + "9" * 19_000 + ") { nodes { id } } }",
    "a huge float": "{ rooms(first: 1e" + "9" * 10_000 + ") { nodes { id } } }",
    "a thousand variables": "query (" + " ".join(f"$v{n}: Int" for n in range(400)) + ") { __typename }",
    "comments": "#\n" * 9_000 + "{",
    "one long name": "{ " + "a" * 19_000 + " }",
    "one long string": '{ user(id: "' + "\\n" * 9_000 + '") { nothing } }',
    "introspection, deep": "{ __schema { types " + "{ fields { type " * 8 + "{ name }" + " } }" * 8 + " } }",
}


def read(document: str, **changes: Any) -> Any:
    return DocumentCache(SCHEMA, Limits(**changes), introspection=True).operation(document, None)


def least_seconds(step: Callable[[], Any]) -> float:
    """The CPU seconds of the fastest of three runs, to exclude garbage collection."""
    taken = []
    for _ in range(3):
        before = time.thread_time()
        step()
        taken.append(time.thread_time() - before)
    return min(taken)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_rejected_in_a_tenth_of_a_second(name: str) -> None:

    def refuse() -> None:
        with pytest.raises(RequestErrors):
            read(HOSTILE[name])

    assert least_seconds(refuse) < 0.1


def test_checking_a_valid_document_is_fast() -> None:
    """The slowest document within the limits: validation compares overlapping fields in pairs."""
    same = "messages { nodes { id author { id } } edges { cursor node { id } } pageInfo { endCursor } } "
    for widest in ("{ me { " + "id " * 490 + "} }", "{ rooms(first: 1) { nodes { " + same * 25 + "} } }"):
        assert least_seconds(partial(read, widest, cost=10**6)) < 0.1


@pytest.mark.parametrize(
    ("document", "limit"),
    [
        ("{ me { user { id } } }", {"depth": 2}),
        ("{ a: __typename ... { b: __typename } }", {"aliases": 1}),
        ("{ ...F ...F } fragment F on Query { __typename }", {"selections": 3}),
        ("{ __typename @skip(if: false) ... @include(if: true) { __typename } }", {"directives": 1}),
        ("{ ... { ... { __typename } } }", {"nesting": 2}),
        ("{ ...F } fragment F on Query { __typename a: __typename }", {"root_fields": 1}),
        ("{ me { id } me { user { id } } }", {"repeats": 1}),
        ("{ __typename }", {"tokens": 2}),
        ("{ __typename }", {"source_characters": 10}),
    ],
)
def test_each_limit_counts_what_the_document_expands_to(document: str, limit: dict[str, int]) -> None:
    [(name, value)] = limit.items()
    with pytest.raises(RequestErrors) as refused:
        read(document, **limit)
    code = refused.value.errors[0].extensions["code"]  # type: ignore[index]
    assert code == "QUERY_TOO_COMPLEX" or name == "tokens"
    assert read(document, **{name: value + 1 if name != "source_characters" else 100}) if name != "tokens" else True


# ------------------------------------------------------------------ the measure is right

Tree = list[Any]
trees: st.SearchStrategy[Tree] = st.recursive(
    st.just([]), lambda inner: st.lists(st.tuples(st.sampled_from("fai"), inner), min_size=1, max_size=4), max_leaves=20
)


def written(tree: Tree | None) -> str:
    """The document text: a field, an aliased field or an inline fragment for each branch."""
    if tree is None:
        return ""
    heads = {"f": "f", "a": "x: f", "i": "..."}
    return "{ " + " ".join(f"{heads[kind]} {written(inner)}" for kind, inner in tree or [("f", None)]) + " }"


def counted(tree: Tree | None) -> tuple[int, int, int]:
    """The numbers of selections and aliases and the depth, counted naively."""
    if tree is None:
        return 0, 0, 0
    parts = [(kind, counted(inner)) for kind, inner in tree or [("f", None)]]
    return (
        sum(1 + part[0] for _, part in parts),
        sum((kind == "a") + part[1] for kind, part in parts),
        max((kind != "i") + part[2] for kind, part in parts),
    )


@given(trees)
@settings(max_examples=200, deadline=None)
def test_measured_depth_and_counts_match_a_naive_count(tree: Tree) -> None:
    size = SizeChecker(parse(written(tree)), UNLIMITED).size
    assert (size.selections, size.aliases, size.depth) == counted(tree)


@given(st.integers(1, 40), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_fragments_count_once_per_spread(levels: int, spreads: int) -> None:
    chain = (f"fragment F{n} on Query {{ {f'...F{n + 1} ' * spreads} }}" for n in range(levels))
    text = "{ ...F0 } " + " ".join(chain)
    size = SizeChecker(parse(text + f" fragment F{levels} on Query {{ f }}"), UNLIMITED).size
    assert size.selections == 1 + sum(spreads**n for n in range(1, levels + 1)) + spreads**levels
    assert size.nesting == levels + 2


def test_measuring_takes_time_linear_in_the_document() -> None:
    def seconds(levels: int) -> float:
        text = "{ ...F0 } " + " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels))
        document = parse(text + f" fragment F{levels} on Query {{ f }}")
        before = time.thread_time()
        for _ in range(20):
            SizeChecker(document, UNLIMITED)
        return time.thread_time() - before

    assert seconds(200) < 20 * seconds(20) + 0.05


# ------------------------------------------------------------------ cost

ROOMS = 2 + STATEMENT
"""Of `rooms` and `nodes`, without what is in them."""

ROOM, MESSAGE = ROW_COSTS["Room"], ROW_COSTS["Message"]


@pytest.mark.parametrize(
    ("document", "variables", "cost"),
    [
        ("{ me { id } }", {}, 2),
        ("{ __schema { types { name } } }", {}, 1 + INTROSPECTION),
        ("{ rooms { nodes { id name } } }", {}, ROOMS + 50 * (ROOM + 2)),
        ("{ rooms(first: 10) { nodes { id } totalCount } }", {}, ROOMS + 1 + COUNT + 10 * (ROOM + 1)),
        ("query ($n: Int) { rooms(first: $n) { nodes { id } } }", {"n": 7}, ROOMS + 7 * (ROOM + 1)),
        ("query ($n: Int = 9) { rooms(last: $n) { nodes { id } } }", {}, ROOMS + 9 * (ROOM + 1)),
        ("query ($n: Int) { rooms(first: $n) { nodes { id } } }", {"n": 100.0}, ROOMS + 100 * (ROOM + 1)),
        ("query ($n: Int) { rooms(first: $n) { nodes { id } } }", {"n": float("nan")}, ROOMS + 50 * (ROOM + 1)),
        ("query ($n: Int) { rooms(first: $n) { nodes { id } } }", {"n": 10**9}, ROOMS + 100 * (ROOM + 1)),
        ("query ($n: Int) { rooms(first: $n) { nodes { id } } }", {"n": -4}, ROOMS + ROOM + 1),
        (
            "query ($n: Int) { rooms(first: 10) { nodes { messages(first: $n) { nodes { id } } } } }",
            {"n": 20},
            ROOMS + 10 * (ROOM + 2 + STATEMENT + 20 * (MESSAGE + 1)),
        ),
        (
            "{ ...R } fragment R on Query { rooms(first: 3) { ...C } } fragment C on RoomConnection { nodes { id } }",
            {},
            ROOMS + 3 * (ROOM + 1),
        ),
        ('{ nodes(ids: ["a", "b", "c"]) { id } }', {}, 1 + 3 * (STATEMENT + 1)),
        ('{ nodes(ids: "a") { id } }', {}, 1 + STATEMENT + 1),
        ("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ["a"] * 70}, 1 + 70 * (STATEMENT + 1)),
        ("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": "a"}, 1 + STATEMENT + 1),
        ('query ($ids: [ID!]! = ["a", "b"]) { nodes(ids: $ids) { id } }', {}, 1 + 2 * (STATEMENT + 1)),
        (
            '{ searchMessages(query: "x", first: 2) { edges { snippetHtml } } }',
            {},
            2 + SEARCH + 2 * (1 + FIELD_COSTS["MessageSearchEdge.snippetHtml"]),
        ),
        (
            '{ message(id: "x") { body bodyHtml thread { replyCount } } }',
            {},
            1 + STATEMENT + MESSAGE + 4 + FIELD_COSTS["Message.body"] + FIELD_COSTS["Message.bodyHtml"] + LOOKUP,
        ),
        ('mutation { login(input: {usernameOrEmail: "", password: ""}) { errors { code } } }', {}, 2 + 5),
    ],
)
def test_cost_multiplies_fields_and_statements_by_list_sizes(
    document: str, variables: dict[str, Any], cost: int
) -> None:
    assert read(document).cost.total(variables) == cost


@given(st.integers(1, 100), st.integers(1, 100))
def test_a_page_size_costs_the_same_as_a_literal_and_as_a_variable(outer: int, inner: int) -> None:
    text = "{ rooms(first: %s) { nodes { id messages(first: %s) { nodes { id seq } } } } }"
    literal, varying = parse(text % (outer, inner)), parse("query ($o: Int, $i: Int) " + text % ("$o", "$i"))
    [first], [second] = literal.definitions, varying.definitions
    assert isinstance(first, OperationDefinitionNode)
    assert isinstance(second, OperationDefinitionNode)
    fixed, open_ = CostEstimator(SCHEMA, literal).estimate(first), CostEstimator(SCHEMA, varying).estimate(second)
    assert (
        fixed.total({})
        == open_.total({"o": outer, "i": inner})
        == (ROOMS + outer * (ROOM + 3 + STATEMENT + inner * (MESSAGE + 2)))
    )


async def test_an_operation_above_the_cost_limit_is_rejected_and_its_cost_can_be_queried(
    ann: UserClient,
) -> None:
    many = "query ($n: Int) { rooms(first: $n) { nodes { messages(first: $n) { nodes { id seq body createdAt } } } } }"
    assert await ann.error_codes(many, n=100) == ["QUERY_TOO_COMPLEX"]
    each = MESSAGE + 4 + FIELD_COSTS["Message.body"]
    answer = (await ann.post({"query": many, "variables": {"n": 10}, "extensions": {"cost": True}})).json()
    assert answer["extensions"] == {
        "cost": {"requested": ROOMS + 10 * (ROOM + 2 + STATEMENT + 10 * each), "limit": Limits().cost}
    }
    assert "extensions" not in (await ann.post({"query": "{ me { id } }"})).json()


def test_every_price_belongs_to_an_existing_field() -> None:
    for coordinate in {*FIELD_COSTS, *LIST_LENGTH_ARGUMENTS}:
        kind, _, name = coordinate.partition(".")
        assert name in SCHEMA.type_map[kind].fields or name.startswith("__"), coordinate  # type: ignore[attr-defined]
    assert ROW_COSTS.keys() <= SCHEMA.type_map.keys()


def test_every_list_and_page_that_runs_a_statement_has_a_price() -> None:
    """A field with page arguments loads a page for each object that it is selected on."""
    kinds = [kind for kind in SCHEMA.type_map.values() if is_object_type(kind)]
    paged = {f"{kind.name}.{name}" for kind in kinds for name, field in kind.fields.items() if "first" in field.args}
    assert {coordinate for coordinate in paged if FIELD_COSTS.get(coordinate, 0) < STATEMENT} == set()
    counting = {f"{kind.name}.totalCount" for kind in kinds if "totalCount" in kind.fields}
    assert {coordinate for coordinate in counting if FIELD_COSTS.get(coordinate, 0) < COUNT} == set()


async def test_a_long_list_of_ids_in_a_variable_is_rejected(ann: UserClient) -> None:
    text = "query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Room { messages(first: 20) { nodes { body } } } } }"
    assert await ann.error_codes(text, ids=["room_x"] * 100) == ["QUERY_TOO_COMPLEX"]
    assert (await ann.execute(text, ids=["room_x"] * 3))["nodes"] == [None] * 3


async def test_subscriptions_have_a_lower_cost_limit_than_queries(ann: UserClient) -> None:
    room = await ann.create_room("den")
    history = "room { messages(last: 100) { nodes { body bodyHtml reactions { emoji count } } } }"
    async with ann.connect() as connection:
        subscription = await connection.subscribe(
            "subscription ($id: ID!) { roomMessages(roomId: $id) { message { " + history + " } } }", id=room
        )
        message = await subscription.next_message()
    assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "QUERY_TOO_COMPLEX")


def test_a_limit_error_names_the_limit() -> None:
    with pytest.raises(GraphQLError, match="depth above 1"):
        SizeChecker(parse("{ a { b } }"), Limits(depth=1))


# ------------------------------------------------------------------ arguments


@pytest.mark.parametrize(
    "document",
    [
        "query ($text: String!) { users(filter: { query: $text }) { nodes { id } } }",
        "query ($text: String!) { rooms(filter: { query: $text }) { nodes { id } } }",
        "query ($text: String!) { searchMessages(query: $text) { nodes { id } } }",
    ],
)
async def test_filter_text_is_limited_after_unicode_normalisation(ann: UserClient, document: str) -> None:
    [found] = (await ann.execute(document, text="x" * 200)).values()
    assert found == {"nodes": []}
    for text in ("x" * 201, "\ufdfa" * 12, "x" * 200_000):
        assert await ann.error_codes(document, text=text) == ["BAD_USER_INPUT"]


async def test_long_cursors_are_rejected(ann: UserClient) -> None:
    long = write_cursor("users", ("a" * 3_000,))
    assert await ann.error_codes("query ($after: String) { users(after: $after) { nodes { id } } }", after=long) == [
        "BAD_USER_INPUT"
    ]
